#include "sampling/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace longhaul {
namespace {

constexpr float kNone = std::numeric_limits<float>::lowest();

// Infinities as the largest numbers there are, NaN as the least likely.
float finite(float logit) { return logit >= kNone ? std::min(logit, -kNone) : kNone; }

}  // namespace

Logprobs::Logprobs(std::span<const float> logits) : logits_(logits) {
  float most = kNone;
  for (const float logit : logits) most = std::max(most, finite(logit));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{finite(logit)} - double{most});
  log_sum_ = double{most} + std::log(sum);
}

float Logprobs::of(int32_t token) const {
  const float logit = finite(logits_[static_cast<size_t>(token)]);
  return logit == kNone ? kNone : static_cast<float>(double{logit} - log_sum_);
}

std::vector<int32_t> Logprobs::top(size_t n) const {
  if (n == 0) return {};
  std::vector<int32_t> ids(logits_.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(std::min(n, ids.size()));
  std::partial_sort(ids.begin(), middle, ids.end(), [&](int32_t a, int32_t b) {
    const float x = finite(logits_[static_cast<size_t>(a)]);
    const float y = finite(logits_[static_cast<size_t>(b)]);
    return x > y || (x == y && a < b);
  });
  ids.erase(middle, ids.end());
  return ids;
}

GeneratedToken with_logprobs(std::span<const float> logits, int32_t token, size_t n_top) {
  const Logprobs logprobs(logits);
  GeneratedToken generated{{token, logprobs.of(token)}, {}};
  for (const int32_t other : logprobs.top(n_top))
    generated.top.push_back({other, logprobs.of(other)});
  return generated;
}

}  // namespace longhaul
