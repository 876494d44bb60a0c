#include "server/answer.h"

#include <utility>

#include "base/utf8.h"

namespace longhaul {
namespace {

// Appends it, to the last one where they are pieces of the same.
void add_delta(std::vector<OutputDelta>& deltas, const OutputDelta& delta) {
  const bool continues = !deltas.empty() && delta.kind != OutputDelta::Kind::kCall &&
                         deltas.back().kind == delta.kind && deltas.back().call == delta.call;
  if (continues) {
    deltas.back().text += delta.text;
  } else {
    deltas.push_back(delta);
  }
}

}  // namespace

// The text of one choice as it comes.
class Answer::Choice : public TextSink {
 public:
  Choice(std::shared_ptr<Answer> answer, size_t index, std::string echo, bool counts_prompt)
      : answer_(std::move(answer)),
        index_(index),
        echo_(std::move(echo)),
        counts_prompt_(counts_prompt),
        parser_(answer_->options_.output) {
    (void)parser_.feed(answer_->options_.output.begins_with);
  }

  void on_prompt_token(NamedToken token) override {
    token.is_in_text = !tokens_.empty() || echo_.starts_with(token.text);
    tokens_.push_back(std::move(token));
  }
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
  bool has_reasoned() const { return has_reasoned_; }
  AnswerChoice whole(const GenerateResult& result) {
    AnswerChoice choice;
    const auto add = [&](const std::vector<OutputDelta>& deltas) {
      note(deltas);
      for (const OutputDelta& delta : deltas) add_delta(choice.deltas, delta);
    };
    if (!echo_.empty()) add({{.text = echo_}});
    add(parser_.feed(result.text));
    add(parser_.finish());
    choice.tokens = std::move(tokens_);
    return choice;
  }
  // Only once the text is over.
  Ending ending(const TextOutcome& outcome) const {
    return {outcome.result->finish_reason, parser_.has_calls(), outcome.stop_text};
  }

 private:
  const AnswerShape::Tokens* tokens() const {
    return answer_->options_.has_logprobs ? &tokens_ : nullptr;
  }
  // Before the first piece: what every choice begins with.
  bool open() {
    if (std::exchange(is_open_, true)) return true;
    answer_->begin();
    if (!answer_->send(answer_->shape_->open(index_))) return false;
    return echo_.empty() || say({{.text = echo_}});
  }
  // Tokens go with the first of the deltas that they settle.
  bool say(const std::vector<OutputDelta>& deltas) {
    note(deltas);
    for (const OutputDelta& delta : deltas) {
      const std::string events = answer_->shape_->piece(index_, delta, tokens(), n_said_);
      n_said_ += n_characters(delta.text);
      tokens_.clear();
      if (!answer_->send(events)) return false;
    }
    return true;
  }
  void note(const std::vector<OutputDelta>& deltas) {
    for (const OutputDelta& delta : deltas)
      has_reasoned_ |= delta.kind == OutputDelta::Kind::kReasoning;
  }

  const std::shared_ptr<Answer> answer_;
  const size_t index_;
  const std::string echo_;
  const bool counts_prompt_;
  OutputParser parser_;
  AnswerShape::Tokens tokens_;  // not sent yet
  bool is_open_ = false;
  bool has_reasoned_ = false;
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

void Answer::begin() {
  std::call_once(begun_, [&] { send(shape_->begin(options_.n_prompt)); });
}

bool Answer::send(const std::string& events) { return events.empty() || exchange_->write(events); }

// Up to and with the mark that ends it, or all of them.
size_t Answer::n_reasoning_tokens(const std::vector<int32_t>& tokens) const {
  if (!options_.token_text) return 0;
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    text += options_.token_text(tokens[i]);
    if (text.find(kReasoningClosing) != std::string::npos) return i + 1;
    // What can still be a part of the mark.
    if (text.size() > kReasoningClosing.size())
      text.erase(0, text.size() - kReasoningClosing.size());
  }
  return tokens.size();
}

void Answer::over(Choice& choice, const TextOutcome& outcome) {
  const bool is_done = outcome.result && outcome.result->finish_reason != FinishReason::kCancelled;
  AnswerChoice whole;
  if (is_done) {
    if (!options_.is_stream) whole = choice.whole(*outcome.result);
    whole.ending = choice.ending(outcome);
    if (options_.is_stream) send(shape_->close(choice.index(), whole.ending));
  }
  const std::lock_guard lock(mutex_);
  if (is_done) {
    choices_[choice.index()] = std::move(whole);
    usage_.n_completion += outcome.result->tokens.size();
    if (choice.has_reasoned()) usage_.n_reasoning += n_reasoning_tokens(outcome.result->tokens);
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
  // Not while another thread says what the stream begins with.
  std::call_once(begun_, [] {});
  if (error_) return exchange_->fail(*error_, *shape_);
  if (!options_.is_stream)
    return exchange_->reply(json_reply(shape_->whole(choices_, usage_, options_.has_logprobs)));
  exchange_->end_stream(shape_->end(usage_, options_.includes_usage));
}

}  // namespace longhaul
