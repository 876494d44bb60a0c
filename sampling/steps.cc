#include "sampling/steps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace longhaul {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Orders indices by falling value, equal values by rising index.
struct Descending {
  std::span<const float> values;
  bool operator()(uint32_t a, uint32_t b) const {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  }
};

void scale_to_one(std::span<float> probs) {
  const double sum = std::accumulate(probs.begin(), probs.end(), 0.0);
  for (float& p : probs) p = static_cast<float>(p / sum);
}

}  // namespace

void clean_logits(std::span<float> logits) {
  for (float& x : logits) {
    if (std::isnan(x)) x = -kInfinity;
    x = std::min(x, std::numeric_limits<float>::max());
  }
}

void apply_penalties(std::span<float> logits, const PenaltyWindow& window,
                     const Penalties& penalties) {
  for (const auto& [token, count] : window.counts()) {
    float& x = logits[static_cast<size_t>(token)];
    x = x > 0.0F ? x / penalties.repetition : x * penalties.repetition;
    x -= penalties.presence + penalties.frequency * static_cast<float>(count);
  }
}

void apply_bias(std::span<float> logits, std::span<const std::pair<int32_t, float>> bias) {
  for (const auto& [token, value] : bias) logits[static_cast<size_t>(token)] += value;
}

void apply_temperature(std::span<float> logits, float temperature) {
  const float max = logits[argmax_token(logits)];
  if (max == -kInfinity) return;
  for (float& x : logits) x = (x - max) / temperature;
}

void keep_top_k(std::span<float> logits, size_t k, std::vector<uint32_t>& scratch) {
  if (k == 0 || k >= logits.size()) return;
  scratch.resize(logits.size());
  std::iota(scratch.begin(), scratch.end(), 0U);
  const auto removed = scratch.begin() + static_cast<ptrdiff_t>(k);
  std::nth_element(scratch.begin(), removed, scratch.end(), Descending{logits});
  std::for_each(removed, scratch.end(), [&](uint32_t i) { logits[i] = -kInfinity; });
}

void softmax(std::span<float> logits) {
  const size_t best = argmax_token(logits);
  const float max = logits[best];
  if (max == -kInfinity) {
    std::fill(logits.begin(), logits.end(), 0.0F);
    logits[best] = 1.0F;
    return;
  }
  for (float& x : logits) x = std::exp(x - max);
  scale_to_one(logits);
}

void keep_top_p(std::span<float> probs, float p, std::vector<uint32_t>& scratch) {
  if (p >= 1.0F) return;
  scratch.resize(probs.size());
  std::iota(scratch.begin(), scratch.end(), 0U);
  // The set is nearly always small, so the order is made in growing pieces until the mass is
  // reached.
  size_t n_sorted = 0;
  size_t n_kept = 0;
  double mass = 0.0;
  for (size_t piece = 64; n_kept == n_sorted && n_sorted < probs.size(); piece *= 4) {
    const auto first = scratch.begin() + static_cast<ptrdiff_t>(n_sorted);
    n_sorted = std::min(probs.size(), n_sorted + piece);
    const auto last = scratch.begin() + static_cast<ptrdiff_t>(n_sorted);
    std::partial_sort(first, last, scratch.end(), Descending{probs});
    while (n_kept < n_sorted && (n_kept == 0 || mass < p)) mass += probs[scratch[n_kept++]];
    if (mass >= p) break;
  }
  for (size_t i = n_kept; i < scratch.size(); ++i) probs[scratch[i]] = 0.0F;
  scale_to_one(probs);
}

void keep_min_p(std::span<float> probs, float p) {
  if (p <= 0.0F) return;
  const float least = p * probs[argmax_token(probs)];
  for (float& x : probs) x = x < least ? 0.0F : x;
  scale_to_one(probs);
}

size_t argmax_token(std::span<const float> values) {
  size_t best = 0;
  float max = -kInfinity;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > max) {
      max = values[i];
      best = i;
    }
  }
  return best;
}

}  // namespace longhaul
