#include "server/answer.h"

#include <utility>

#include "base/utf8.h"
#include "server/event_stream.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

// The text of one choice as it comes.
class Answer::Choice : public TextSink {
 public:
  Choice(std::shared_ptr<Answer> answer, size_t index, std::string echo, bool counts_prompt)
      : answer_(std::move(answer)),
        index_(index),
        echo_(std::move(echo)),
        counts_prompt_(counts_prompt),
        parser_(answer_->options_.output) {}

  void on_prompt_token(NamedToken token) override { tokens_.push_back(std::move(token)); }
  bool on_token(NamedToken token) override {
    const bool is_open = !answer_->options_.is_stream || open();
    tokens_.push_back(std::move(token));
    return is_open;
  }
  bool on_text(std::string_view text) override { return open() && say(parser_.feed(text)); }
  void on_end(const TextOutcome& outcome) override {
    if (answer_->options_.is_stream && outcome.result && open()) {
      say(parser_.finish());
      if (!tokens_.empty()) say({{.text = ""}});  // without text, such as the last one
    }
    answer_->over(*this, outcome);
  }

  size_t index() const { return index_; }
  bool counts_prompt() const { return counts_prompt_; }
  Json whole(const GenerateResult& result) {
    OutputMessage message;
    message.content = echo_;
    for (const OutputDelta& delta : parser_.feed(result.text)) message.add(delta);
    for (const OutputDelta& delta : parser_.finish()) message.add(delta);
    return answer_->shape_->whole(index_, message, tokens(), reason_of(result));
  }
  // Only once the text is over.
  std::string_view reason_of(const GenerateResult& result) const {
    const bool calls = result.finish_reason == FinishReason::kStop && parser_.has_calls();
    return calls ? "tool_calls" : to_string(result.finish_reason);
  }

 private:
  const AnswerShape::Tokens* tokens() const {
    return answer_->options_.has_logprobs ? &tokens_ : nullptr;
  }
  // Before the first piece: what every choice begins with.
  bool open() {
    if (std::exchange(is_open_, true)) return true;
    const Json opening = answer_->shape_->opening(index_);
    if (!opening.is_null() && !answer_->send(opening)) return false;
    return echo_.empty() || say({{.text = echo_}});
  }
  // Tokens go with the first of the deltas that they settle.
  bool say(const std::vector<OutputDelta>& deltas) {
    for (const OutputDelta& delta : deltas) {
      const Json piece = answer_->shape_->piece(index_, delta, tokens(), n_said_);
      n_said_ += n_characters(delta.text);
      tokens_.clear();
      if (!answer_->send(piece)) return false;
    }
    return true;
  }

  const std::shared_ptr<Answer> answer_;
  const size_t index_;
  const std::string echo_;
  const bool counts_prompt_;
  OutputParser parser_;
  AnswerShape::Tokens tokens_;  // not sent yet
  bool is_open_ = false;
  size_t n_said_ = 0;  // characters
};

Answer::Answer(std::shared_ptr<Exchange> exchange, std::unique_ptr<AnswerShape> shape,
               const AnswerOptions& options, size_t n_choices)
    : exchange_(std::move(exchange)),
      shape_(std::move(shape)),
      options_(options),
      choices_(n_choices),
      n_left_(n_choices) {}

std::shared_ptr<TextSink> Answer::choice(size_t index, std::string echo, bool counts_prompt) {
  return std::make_shared<Choice>(shared_from_this(), index, std::move(echo), counts_prompt);
}

bool Answer::send(const Json& choice) {
  return exchange_->write(event_of(shape_->document(Json::array({choice}), true)));
}

void Answer::over(Choice& choice, const TextOutcome& outcome) {
  const bool is_done = outcome.result && outcome.result->finish_reason != FinishReason::kCancelled;
  Json whole;
  if (is_done) {
    const auto& result = *outcome.result;
    if (!options_.is_stream) {
      whole = choice.whole(result);
    } else {
      send(shape_->ending(choice.index(), choice.reason_of(result)));
    }
  }
  const std::lock_guard lock(mutex_);
  if (is_done) {
    choices_[choice.index()] = std::move(whole);
    usage_.n_completion += outcome.result->tokens.size();
    const AttentionStats& attention = outcome.result->attention;
    usage_.attention.blocks_read += attention.blocks_read;
    usage_.attention.blocks_total += attention.blocks_total;
    usage_.attention.rectifications += attention.rectifications;
    usage_.attention.drafted += attention.drafted;
    usage_.attention.accepted += attention.accepted;
    if (choice.counts_prompt()) {
      usage_.n_prompt += outcome.result->prompt_tokens;
      usage_.n_cached += outcome.n_reused;
    }
  } else if (!error_) {
    error_ = outcome.result ? shutting_down() : to_api_error(outcome.result.error());
  }
  if (--n_left_ == 0) finish();
}

void Answer::finish() {
  if (error_) return exchange_->fail(*error_);
  if (!options_.is_stream) {
    Json document = shape_->document(std::move(choices_), false);
    document["usage"] = to_json(usage_);
    return exchange_->reply(json_reply(document));
  }
  if (options_.includes_usage) {
    Json document = shape_->document(Json::array(), true);
    document["usage"] = to_json(usage_);
    exchange_->write(event_of(document));
  }
  exchange_->write(kDoneEvent);
  exchange_->end_stream();
}

}  // namespace longhaul
