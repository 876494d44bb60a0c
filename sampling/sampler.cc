#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace longhaul {
namespace {

Status check_in_range(const char* field, float value, float low, float high) {
  if (value >= low && value <= high) return {};
  return bad_input("{}: expected a number in [{}, {}], found {}", field, low, high, value);
}

Status check_finite(const char* field, float value) {
  if (std::isfinite(value)) return {};
  return bad_input("{}: expected a finite number, found {}", field, value);
}

Status check_bias(const SamplingOptions& options, size_t vocab_size) {
  for (const auto& [token, bias] : options.logit_bias) {
    if (token < 0 || static_cast<size_t>(token) >= vocab_size) {
      return bad_input("logit_bias: expected a token id in [0, {}), found {}", vocab_size, token);
    }
    if (std::isnan(bias) || bias == std::numeric_limits<float>::infinity()) {
      return bad_input("logit_bias of token {}: expected a finite number or -inf, found {}", token,
                       bias);
    }
  }
  return {};
}

}  // namespace

Result<Sampler> Sampler::create(const SamplingOptions& options, size_t vocab_size) {
  if (vocab_size == 0) return bad_input("vocab_size: expected at least 1, found 0");
  if (!std::isfinite(options.temperature) || options.temperature < 0.0F) {
    return bad_input("temperature: expected a finite number of at least 0, found {}",
                     options.temperature);
  }
  LH_RETURN_IF_ERROR(check_in_range("top_p", options.top_p, 0.0F, 1.0F));
  LH_RETURN_IF_ERROR(check_in_range("min_p", options.min_p, 0.0F, 1.0F));
  if (!std::isfinite(options.repetition_penalty) || options.repetition_penalty <= 0.0F) {
    return bad_input("repetition_penalty: expected a finite number above 0, found {}",
                     options.repetition_penalty);
  }
  LH_RETURN_IF_ERROR(check_finite("presence_penalty", options.presence_penalty));
  LH_RETURN_IF_ERROR(check_finite("frequency_penalty", options.frequency_penalty));
  LH_RETURN_IF_ERROR(check_bias(options, vocab_size));
  return Sampler(options, vocab_size);
}

Sampler::Sampler(const SamplingOptions& options, size_t vocab_size)
    : options_(options), vocab_size_(vocab_size), window_(0) {
  if (has_penalties()) window_ = PenaltyWindow(options.penalty_last_n);
}

void Sampler::constrain(std::unique_ptr<TokenConstraint> constraint) {
  constraint_ = std::move(constraint);
}

bool Sampler::has_penalties() const {
  return options_.repetition_penalty != 1.0F || options_.presence_penalty != 0.0F ||
         options_.frequency_penalty != 0.0F;
}

void Sampler::adjust(std::span<float> logits) {
  clean_logits(logits);
  if (has_penalties()) {
    apply_penalties(logits, window_,
                    {.repetition = options_.repetition_penalty,
                     .presence = options_.presence_penalty,
                     .frequency = options_.frequency_penalty});
  }
  apply_bias(logits, options_.logit_bias);
  clean_logits(logits);  // a huge penalty or bias may have overflowed
  if (constraint_ != nullptr) constraint_->restrict(logits);
}

bool Sampler::any_candidate(std::span<const float> logits) {
  LH_CHECK(logits.size() == vocab_size_);
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  if (is_plain()) {
    // Nearly always the first: the whole row would be a pass over half a megabyte.
    return std::any_of(logits.begin(), logits.end(), [](float logit) { return logit > kNever; });
  }
  row_.assign(logits.begin(), logits.end());
  adjust(row_);
  return row_[argmax_token(row_)] > kNever;
}

Error Sampler::no_candidate(size_t position) const {
  if (constraint_ == nullptr) {
    return bad_input("no token can follow position {}: every logit is NaN or -infinity",
                     position - 1)
        .value();
  }
  if (const Status status = constraint_->status(); !status) return status.error();
  return bad_input(
             "no token can follow position {}: none that the answer must go on with has a logit "
             "above -infinity",
             position - 1)
      .value();
}

int32_t Sampler::sample(std::span<const float> logits, size_t position) {
  LH_CHECK(logits.size() == vocab_size_);
  if (greedy() && is_plain()) {
    return static_cast<int32_t>(argmax_token(logits));
  }
  row_.resize(vocab_size_);
  distribution(logits, row_);
  return greedy() ? static_cast<int32_t>(argmax_token(row_)) : draw(row_, position);
}

void Sampler::distribution(std::span<const float> logits, std::span<float> probs) {
  LH_CHECK(logits.size() == vocab_size_ && probs.size() == vocab_size_);
  std::copy(logits.begin(), logits.end(), probs.begin());
  adjust(probs);
  if (greedy()) {
    const size_t best = argmax_token(probs);
    std::fill(probs.begin(), probs.end(), 0.0F);
    probs[best] = 1.0F;
    return;
  }
  apply_temperature(probs, options_.temperature);
  keep_top_k(probs, options_.top_k, indices_);
  softmax(probs);
  keep_top_p(probs, options_.top_p, indices_);
  keep_min_p(probs, options_.min_p);
}

int32_t Sampler::draw(std::span<const float> probs, size_t position) const {
  LH_CHECK(probs.size() == vocab_size_);
  PositionRandom random(options_.seed, position);
  size_t winner = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < probs.size(); ++i) {
    const double u = random.next();
    const auto p = static_cast<double>(probs[i]);
    // -log(u) >= 1 - u: most tokens lose without a logarithm.
    if (p <= 0.0 || 1.0 - u >= least * p) continue;
    const double time = -std::log(u) / p;
    if (time < least) {
      least = time;
      winner = i;
    }
  }
  return static_cast<int32_t>(winner);
}

void Sampler::accept(int32_t token) {
  LH_CHECK(token >= 0 && static_cast<size_t>(token) < vocab_size_);
  window_.push(token);
  if (constraint_ != nullptr) constraint_->accept(token);
}

void Sampler::rollback(size_t n_tokens) {
  window_.pop(n_tokens);
  if (constraint_ != nullptr) constraint_->rollback(n_tokens);
}

}  // namespace longhaul
