// The selective scan on every target of Highway.
#include "kernels/scan.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/scan.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, kScanStep>;
using VF = hn::Vec<DF>;

// Tokens that a part of a channel's state stays in a register for.
constexpr size_t kRunTokens = 16;
// Channels whose steps are made at once.
constexpr size_t kRunChannels = kScanStep;
// Below this exp() rounds to zero, and Highway's Exp is not defined far below.
constexpr float kLeastExponent = -104.0F;

// exp(x) for x <= 0.
HWY_INLINE VF exp_of_negative(VF x) {
  const DF d;
  const VF least = hn::Set(d, kLeastExponent);
  return hn::IfThenZeroElse(hn::Lt(x, least), hn::Exp(d, hn::Max(x, least)));
}

// log(1 + exp(x))
HWY_INLINE VF softplus(VF x) {
  const DF d;
  const VF small = hn::Log1p(d, exp_of_negative(hn::Neg(hn::Abs(x))));
  return hn::Add(hn::Max(x, hn::Zero(d)), small);
}

// The steps of tokens [t, t + n) and channels [first, first + kRunChannels).
struct Steps {
  float at[kRunTokens][kRunChannels];

  HWY_INLINE Steps(const ScanJob& job, size_t first, size_t t, size_t n) {
    const DF d;
    for (size_t r = 0; r < n; ++r) {
      const float* const row = job.step + (t + r) * job.step_stride + first;
      for (size_t i = 0; i < kRunChannels; i += hn::Lanes(d)) {
        const VF biased = hn::Add(hn::LoadU(d, row + i), hn::LoadU(d, job.step_bias + first + i));
        hn::StoreU(softplus(biased), d, at[r] + i);
      }
    }
  }
};

// Tokens [t, t + n) of one channel.
HWY_INLINE void run_channel(const ScanJob& job, const Steps& steps, size_t channel, size_t t,
                            size_t n) {
  const DF d;
  const size_t at = channel % kRunChannels;
  VF sums[kRunTokens];
  for (size_t r = 0; r < n; ++r) sums[r] = hn::Zero(d);
  for (size_t i = 0; i < job.n_states; i += hn::Lanes(d)) {
    float* const state = job.state + channel * job.n_states + i;
    const VF a = hn::LoadU(d, job.a + channel * job.n_states + i);
    VF h = hn::LoadU(d, state);
    for (size_t r = 0; r < n; ++r) {
      const float step = steps.at[r][at];
      const VF input = hn::Set(d, step * job.x[(t + r) * job.x_stride + channel]);
      const VF decay = exp_of_negative(hn::Mul(hn::Set(d, step), a));
      h = hn::MulAdd(input, hn::LoadU(d, job.b + (t + r) * job.b_stride + i), hn::Mul(h, decay));
      sums[r] = hn::MulAdd(h, hn::LoadU(d, job.c + (t + r) * job.c_stride + i), sums[r]);
    }
    hn::StoreU(h, d, state);
  }
  for (size_t r = 0; r < n; ++r) {
    job.out[(t + r) * job.out_stride + channel] =
        hn::GetLane(hn::SumOfLanes(d, sums[r])) +
        job.d[channel] * job.x[(t + r) * job.x_stride + channel];
  }
}

void scan(const ScanJob& job, size_t first, size_t n) {
  for (size_t t = 0; t < job.n_rows; t += kRunTokens) {
    const size_t n_tokens = std::min(kRunTokens, job.n_rows - t);
    for (size_t channels = first; channels < first + n; channels += kRunChannels) {
      const Steps steps(job, channels, t, n_tokens);
      for (size_t i = 0; i < kRunChannels; ++i) run_channel(job, steps, channels + i, t, n_tokens);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"

namespace longhaul {

HWY_EXPORT(scan);

void scan(const ScanJob& job, size_t first, size_t n) {
  LH_CHECK(job.n_states % kScanStep == 0 && first % kScanStep == 0 && n % kScanStep == 0);
  HWY_DYNAMIC_DISPATCH(scan)(job, first, n);
}

}  // namespace longhaul
#endif
