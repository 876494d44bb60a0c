#include <chrono>

#include "base/check.h"
#include "engine/engine_impl.h"
#include "engine/random_fill.h"
#include "engine/text_output.h"
#include "sampling/random.h"

namespace longhaul {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

std::span<const int32_t> Session::tokens() const { return impl_->state.tokens; }

void Session::truncate(size_t n_tokens) { impl_->state.truncate(n_tokens); }

Result<Session> Session::fork() const {
  LH_ASSIGN_OR_RETURN(KvSequence cache, impl_->state.cache.fork());
  const SequenceState& state = impl_->state;
  auto copy = std::make_unique<Impl>(
      Impl{impl_->engine, SequenceState{std::move(cache), state.tokens, state.n_clean,
                                        state.n_rectified, state.first_random}});
  return Session(std::move(copy));
}

Status Session::Impl::check_tokens(std::span<const int32_t> tokens) const {
  const size_t vocab_size = engine->info.vocab_size;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || static_cast<size_t>(tokens[i]) >= vocab_size) {
      return bad_input("prompt token {}: expected 0 to {}, found {}", i, vocab_size - 1, tokens[i]);
    }
  }
  if (state.tokens.size() + tokens.size() > engine->options.ctx_size) {
    return bad_input(
        "a prompt of {} tokens after {} in the session does not fit in the context of {} tokens",
        tokens.size(), state.tokens.size(), engine->options.ctx_size);
  }
  return {};
}

Status Session::Impl::check_request(const GenerateRequest& request) const {
  LH_RETURN_IF_ERROR(validate(request.attention, engine->options.block_size));
  LH_RETURN_IF_ERROR(engine->check_selector(*find_selector(request.attention.selector)));
  if (state.tokens.empty() && request.prompt.empty()) {
    return bad_input("the prompt is empty and so is the session: nothing to continue");
  }
  return check_tokens(request.prompt);
}

// Without a new prompt the newest token is the next step of the mode that goes on, so that a text
// generated in two parts is the text generated in one.
bool Session::Impl::ready_to_decode(const GenerateRequest& request) const {
  const AttentionMode mode = request.attention.mode;
  const bool may_be_unclean = mode == AttentionMode::kSparse || mode == AttentionMode::kResa;
  return request.prompt.empty() && state.tokens.size() == state.cache.n_tokens() + 1 &&
         (may_be_unclean || state.n_clean == state.cache.n_tokens());
}

Result<std::span<const float>> Session::Impl::prefill(DecodeContext& context,
                                                      const GenerateRequest& request) {
  // What sparse steps left behind is computed again, but by `sparse`, and by a `resa` whose
  // rectification is partial as far as that went. Every other mode starts from a clean cache.
  const AttentionOptions& attention = request.attention;
  size_t first = state.n_clean;
  if (attention.mode == AttentionMode::kSparse) first = state.cache.n_tokens();
  if (attention.mode == AttentionMode::kResa && attention.rectify != RectifyKind::kDense) {
    first = state.n_rectified;
  }
  first = std::min(first, state.tokens.size() - 1);  // the newest token's logits are always needed
  const size_t n_total = state.tokens.size() - first;
  LH_ASSIGN_OR_RETURN(const auto logits, context.prefill(first, 1, [&](size_t n_done) {
    return !request.on_progress || request.on_progress(n_done, n_total, 0);
  }));
  return std::span<const float>(logits.row(0), logits.n_cols);
}

Status Session::Impl::decode(DecodeContext& context, const GenerateRequest& request,
                             size_t n_prompt, GenerateResult& result) {
  TextOutput output(*engine->tokenizer, request.stop, request.on_text);
  const std::unique_ptr<DecodeMode> mode = make_mode(request.attention.mode);
  bool over = context.n_left() == 0;
  for (size_t next = n_prompt; !over;) {
    if (next == state.tokens.size()) LH_RETURN_IF_ERROR(mode->step(context));
    for (; next < state.tokens.size() && !over; ++next) {
      const int32_t token = state.tokens[next];
      if (context.is_end(token)) {
        result.finish_reason = FinishReason::kStop;
        over = true;
      } else if (!output.add(token)) {
        over = true;
      }
      if (request.on_progress && !request.on_progress(n_prompt, n_prompt, next + 1 - n_prompt)) {
        result.finish_reason = FinishReason::kCancelled;
        over = true;
      }
    }
    state.truncate(next);  // what a mode found beyond the end of the text
    over = over || context.n_left() == 0;
  }
  output.finish();
  if (output.stopped()) result.finish_reason = FinishReason::kStop;
  if (output.cancelled()) result.finish_reason = FinishReason::kCancelled;
  result.text = output.take_text();
  return {};
}

Result<GenerateResult> Session::generate(const GenerateRequest& request) {
  SequenceState& state = impl_->state;
  LH_RETURN_IF_ERROR(impl_->check_request(request));
  LH_ASSIGN_OR_RETURN(Sampler sampler,
                      Sampler::create(request.sampling, impl_->engine->info.vocab_size));

  const size_t n_before = state.tokens.size();
  state.tokens.insert(state.tokens.end(), request.prompt.begin(), request.prompt.end());
  const size_t n_prompt = state.tokens.size();
  for (size_t i = n_prompt - std::min(n_prompt, request.sampling.penalty_last_n); i < n_prompt;
       ++i) {
    sampler.accept(state.tokens[i]);
  }
  const Tokenizer& tokenizer = *impl_->engine->tokenizer;
  DecodeContext context(
      *impl_->engine->model, state, sampler, request.attention,
      [&](int32_t token) { return !request.ignore_eos && tokenizer.is_end_of_generation(token); });
  context.max_tokens =
      n_prompt + std::min(request.max_tokens, impl_->engine->options.ctx_size - n_prompt);

  if (request.attention.mode == AttentionMode::kAuto) {
    LH_RETURN_IF_ERROR(impl_->engine->ensure_calibration());
    context.calibration = &*impl_->engine->calibration;
  }
  GenerateResult result;
  if (request.profile) context.profile = &result.profile;
  result.prompt_tokens = n_prompt - n_before;
  auto start = Clock::now();
  if (!impl_->ready_to_decode(request)) {
    const auto logits = impl_->prefill(context, request);
    if (!logits && logits.error().code == ErrorCode::kCancelled) {
      result.finish_reason = FinishReason::kCancelled;
      return result;
    }
    LH_RETURN_IF_ERROR(logits);
    if (context.n_left() > 0) LH_RETURN_IF_ERROR(context.append_sample(*logits));
  }
  result.timings.prefill_s = seconds_since(start);
  const size_t n_before_decode = state.tokens.size();

  start = Clock::now();
  const Status status = impl_->decode(context, request, n_prompt, result);
  result.timings.decode_s = seconds_since(start);
  LH_RETURN_IF_ERROR(status);
  result.tokens.assign(state.tokens.begin() + static_cast<std::ptrdiff_t>(n_prompt),
                       state.tokens.end());
  result.timings.decoded_tokens =
      state.tokens.size() - std::min(n_before_decode, state.tokens.size());
  result.attention = context.stats;
  return result;
}

Status Session::save(const std::string& path) {
  SequenceState& state = impl_->state;
  const Engine::Impl& engine = *impl_->engine;
  if (state.tokens.empty()) return bad_input("{}: the session is empty: nothing to save", path);
  if (state.first_random != SequenceState::kNoRandom) {
    return bad_input("{}: keys and values from token {} on are random, not the model's: not saved",
                     path, state.first_random);
  }
  // A file holds exactly the dense cache of all its tokens, so that a restore has nothing to guess.
  LH_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create({}, engine.info.vocab_size));
  const AttentionOptions dense;
  DecodeContext context(*engine.model, state, sampler, dense, [](int32_t) { return false; });
  if (state.n_clean < state.tokens.size()) {
    LH_ASSIGN_OR_RETURN(const auto logits,
                        context.prefill(state.n_clean, 0, [](size_t) { return true; }));
    (void)logits;
  }
  return state.cache.save(path, state.tokens, engine.model_id());
}

Status Session::fill_random(size_t n_tokens, uint64_t seed) {
  SequenceState& state = impl_->state;
  const ModelConfig& config = impl_->engine->model->config();
  const size_t first = state.tokens.size();
  if (n_tokens <= first || n_tokens > impl_->engine->options.ctx_size) {
    return bad_input("fill: expected {} to {} tokens, found {}", first + 1,
                     impl_->engine->options.ctx_size, n_tokens);
  }
  const size_t first_new = state.cache.n_tokens();
  LH_RETURN_IF_ERROR(longhaul::fill_random(state.cache, config, *impl_->engine->pool,
                                           n_tokens - state.cache.n_tokens(), seed));
  while (state.tokens.size() < n_tokens)
    state.tokens.push_back(static_cast<int32_t>(split_mix64(seed) % config.vocab_size));
  state.set_clean(n_tokens);
  state.first_random = std::min(state.first_random, first_new);
  return {};
}

Result<size_t> Session::restore(const std::string& path) {
  SequenceState& state = impl_->state;
  LH_ASSIGN_OR_RETURN(RestoredState restored, state.cache.restore(path, impl_->engine->model_id()));
  state.tokens = std::move(restored.tokens);
  state.n_clean = state.n_rectified = state.cache.n_tokens();
  state.first_random = SequenceState::kNoRandom;
  return state.n_clean;
}

}  // namespace longhaul
