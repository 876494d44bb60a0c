// Session::generate: a request becomes a run, a run becomes a result.
#include <xxhash.h>

#include <algorithm>
#include <optional>

#include "engine/engine_impl.h"
#include "engine/text_output.h"
#include "sampling/logprobs.h"

namespace longhaul {
namespace {

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

class GenerateRun : public Run {
 public:
  // `text` holds the prompt, behind its first n_before tokens.
  GenerateRun(Text& text, size_t n_before, const GenerateRequest& request,
              std::unique_ptr<DecodeMode> its_mode, Sampler sampler, const Tokenizer& tokenizer,
              size_t max_rows, size_t its_end)
      : Run(text, request.attention, std::move(its_mode), std::move(sampler), max_rows, its_end),
        request_(request),
        tokenizer_(tokenizer),
        output_(tokenizer, request.stop, request.shown_tokens, request.on_text),
        n_before_(n_before),
        n_prompt_(text.size() - request.n_resumed),
        n_given_(text.size()),
        n_resumable_(request.n_resumed),
        next_(n_prompt_) {
    if (request.profile) profile_ = &result_.profile;
    wants_attended_ = request.on_attended != nullptr;
    // Without a new prompt the newest token is the next step of the mode that goes on, so that a
    // text generated in two parts is the text generated in one.
    const bool continues = request.prompt.empty() && text.size() == text.n_cached() + 1;
    const bool is_ready = continues && mode().clean_from(text, true) == text.n_cached();
    if (is_ready) {
      read_first(n_prompt_ - 1, false, true);
    } else if (request.n_resumed > 0) {
      // Where it was broken off the newest token was the next step of the mode, behind clean ones.
      read_first(n_given_ - 1, false, false);
    } else {
      read_first(n_prompt_, n_left() > 0, false);
    }
  }

  Status append(std::span<const float> logits) override {
    if (profile_ != nullptr) {
      profile_->logits_hash =
          XXH3_64bits_withSeed(logits.data(), logits.size_bytes(), profile_->logits_hash);
    }
    LH_ASSIGN_OR_RETURN(const int32_t token, draw(logits, text().size()));
    text().append(token);
    mark();
    if (request_.on_token) drawn_.push_back(with_logprobs(logits, token, request_.n_top_logprobs));
    return {};
  }

  bool is_end(int32_t token) const override {
    return !request_.ignore_eos && tokenizer_.is_end_of_generation(token);
  }

  bool has_news() const override {
    return !is_over_at_ && (n_told_ != n_read() || next_ < text().size());
  }

  void deliver() override {
    const size_t n_before = next_;
    if (n_told_ != n_read()) {
      n_told_ = n_read();
      if (!progress(n_told_, n_to_read(), 0)) return over_at(n_given_, FinishReason::kCancelled);
    }
    while (next_ < text().size() && !is_over_at_) {
      const int32_t token = text().tokens()[next_++];
      const bool is_drawn = next_ > n_given_;
      if (is_drawn && request_.on_token && !request_.on_token(drawn_[next_ - 1 - n_given_])) {
        over_at(next_, FinishReason::kCancelled);
        break;
      }
      if (is_end(token)) {
        over_at(next_, FinishReason::kStop);
      } else if (!output_.add(token)) {
        over_at(next_, output_.stopped() ? FinishReason::kStop : FinishReason::kCancelled);
      }
      if (!progress(n_prompt_, n_prompt_, next_ - n_prompt_)) {
        over_at(next_, FinishReason::kCancelled);
      }
    }
    if (request_.on_attended && next_ > n_before) request_.on_attended(attended());
    if (request_.on_mark && next_ > n_prompt_) {
      const auto said = text().tokens().subspan(n_prompt_, next_ - n_prompt_);
      request_.on_mark(said, std::min(n_resumable_, said.size()));
    }
  }

  // What a mode found beyond the end of the text goes.
  void settle() override {
    if (is_over_at_) stop_at(*is_over_at_);
  }

  bool has_callbacks() const override {
    return request_.on_text != nullptr || request_.on_token != nullptr ||
           request_.on_progress != nullptr || request_.on_mark != nullptr ||
           request_.on_attended != nullptr;
  }
  bool wants_cancel() const override { return request_.cancel.stop_requested(); }
  bool waits_for_room() const override { return request_.wait_for_room; }

  void cancel() override {
    result_.finish_reason = FinishReason::kCancelled;
    stop_at(text().size());
  }
  void refuse(Error error) override {
    text().cut(n_before_);
    fail(std::move(error));
  }

  GenerateResult take_result() {
    const Clock::time_point now = Clock::now();
    output_.finish();
    if (output_.stopped()) result_.finish_reason = FinishReason::kStop;
    if (output_.cancelled()) result_.finish_reason = FinishReason::kCancelled;
    result_.text = output_.take_text();
    result_.prompt_tokens = std::max(n_prompt_, n_before_) - n_before_;
    const auto generated = text().tokens().subspan(n_prompt_);
    result_.tokens.assign(generated.begin(), generated.end());
    Timings& timings = result_.timings;
    timings.wait_s = seconds(begun_at_ - made_at_);
    timings.prefill_s = seconds((is_read() ? read_at_ : now) - begun_at_);
    timings.decode_s = is_read() ? seconds(now - read_at_) : 0;
    timings.decoded_tokens = text().size() - std::min(n_when_read_, text().size());
    result_.attention = std::move(stats());
    return std::move(result_);
  }

 private:
  // Up to the token behind the clean ones a mode begins anew as it went on.
  void mark() { n_resumable_ = std::min(text().n_clean() + 1, text().size()) - n_prompt_; }
  bool progress(size_t n_done, size_t n_total, size_t n_generated) const {
    return !request_.on_progress || request_.on_progress(n_done, n_total, n_generated);
  }
  void over_at(size_t n_tokens, FinishReason reason) {
    is_over_at_ = n_tokens;
    result_.finish_reason = reason;
  }

  const GenerateRequest& request_;
  const Tokenizer& tokenizer_;
  TextOutput output_;
  GenerateResult result_;
  const size_t n_before_;              // the session's text
  const size_t n_prompt_;              // that and the prompt, without what was generated before
  const size_t n_given_;               // and with it
  size_t n_resumable_;                 // of what was generated
  size_t next_;                        // token to be delivered
  size_t n_told_ = 0;                  // of the prompt
  std::optional<size_t> is_over_at_;   // length at which what was delivered ends the text
  std::vector<GeneratedToken> drawn_;  // every one since what was given, for on_token
};

}  // namespace

Result<GenerateResult> Session::generate(const GenerateRequest& request) {
  Engine::Impl& engine = *impl_->engine;
  Text& text = impl_->text;
  LH_RETURN_IF_ERROR(validate(request.attention, engine.options.block_size));
  LH_RETURN_IF_ERROR(engine.check_selector(request.attention));
  if (text.size() == 0 && request.prompt.empty()) {
    return bad_input("the prompt is empty and so is the session: nothing to continue");
  }
  if (request.n_resumed > 0 && request.n_resumed >= text.size() + request.prompt.size()) {
    return bad_input("n_resumed: expected less than the {} tokens of the text, found {}",
                     text.size() + request.prompt.size(), request.n_resumed);
  }
  LH_RETURN_IF_ERROR(impl_->check_tokens(request.prompt));
  LH_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create(request.sampling, engine.info.vocab_size));
  LH_ASSIGN_OR_RETURN(auto constraint, engine.constraint(request));
  std::optional<Calibration> calibration;
  if (needs_calibration(request.attention)) {
    LH_ASSIGN_OR_RETURN(calibration, engine.ensure_calibration());
  }
  const size_t n_before = text.size();
  text.mark();  // where a caller who takes this turn back comes to
  text.append(request.prompt);
  const size_t n_looked_at = std::min(text.size(), request.sampling.penalty_last_n);
  for (const int32_t token : text.tokens().last(n_looked_at)) sampler.accept(token);
  if (constraint != nullptr) {
    for (const int32_t token : text.tokens().last(request.n_resumed)) constraint->accept(token);
    sampler.constrain(std::move(constraint));
  }

  const size_t n_asked = text.size() - request.n_resumed;
  const size_t end = std::max(
      text.size(), n_asked + std::min(request.max_tokens, engine.options.ctx_size - n_asked));
  GenerateRun run(text, n_before, request, make_mode(request.attention, calibration),
                  std::move(sampler), *engine.tokenizer, engine.model->max_rows(), end);
  const std::stop_callback wake(request.cancel, [&] { engine.scheduler->wake(); });
  LH_RETURN_IF_ERROR(engine.scheduler->run(run));
  return run.take_result();
}

}  // namespace longhaul
