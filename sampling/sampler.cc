#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

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
    : options_(options), vocab_size_(vocab_size), random_(options.seed), window_(0) {
  if (has_penalties()) window_ = PenaltyWindow(options.penalty_last_n);
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
}

bool Sampler::any_candidate(std::span<const float> logits) {
  LH_CHECK(logits.size() == vocab_size_);
  row_.assign(logits.begin(), logits.end());
  adjust(row_);
  return row_[argmax_token(row_)] > -std::numeric_limits<float>::infinity();
}

int32_t Sampler::sample(std::span<const float> logits) {
  LH_CHECK(logits.size() == vocab_size_);
  if (greedy() && !has_penalties() && options_.logit_bias.empty()) {
    return static_cast<int32_t>(argmax_token(logits));
  }
  row_.resize(vocab_size_);
  distribution(logits, row_);
  return greedy() ? static_cast<int32_t>(argmax_token(row_)) : draw(row_);
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

int32_t Sampler::draw(std::span<const float> probs) {
  LH_CHECK(probs.size() == vocab_size_);
  const double target = random_.uniform() * std::accumulate(probs.begin(), probs.end(), 0.0);
  double sum = 0.0;
  size_t last = 0;  // where rounding leaves the target beyond the last partial sum
  for (size_t i = 0; i < probs.size(); ++i) {
    if (probs[i] <= 0.0F) continue;
    sum += probs[i];
    last = i;
    if (sum > target) break;
  }
  return static_cast<int32_t>(last);
}

int32_t Sampler::draw_difference(std::span<const float> p, std::span<const float> q) {
  LH_CHECK(p.size() == vocab_size_ && q.size() == vocab_size_);
  row_.resize(vocab_size_);
  std::transform(p.begin(), p.end(), q.begin(), row_.begin(),
                 [](float a, float b) { return std::max(0.0F, a - b); });
  // Equal rows reach this only by rounding.
  const bool empty = std::all_of(row_.begin(), row_.end(), [](float x) { return x == 0.0F; });
  return draw(empty ? p : std::span<const float>(row_));
}

void Sampler::accept(int32_t token) {
  LH_CHECK(token >= 0 && static_cast<size_t>(token) < vocab_size_);
  window_.push(token);
}

void Sampler::rollback(size_t n_tokens) { window_.pop(n_tokens); }

Verdict verify_draft(Sampler& sampler, int32_t drafted, std::span<const float> p_sparse,
                     std::span<const float> p_dense) {
  LH_CHECK(drafted >= 0 && static_cast<size_t>(drafted) < p_dense.size());
  LH_CHECK(p_sparse.size() == p_dense.size());
  const auto i = static_cast<size_t>(drafted);
  if (sampler.uniform() * p_sparse[i] < p_dense[i]) return {.accepted = true, .token = drafted};

  return {.accepted = false, .token = sampler.draw_difference(p_dense, p_sparse)};
}

}  // namespace longhaul
