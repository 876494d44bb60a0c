// The small operations on every target of Highway.
#include "kernels/ops.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ops.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// Loads n < Lanes() numbers, and `rest` in the other lanes.
HWY_INLINE VF load_some(const float* p, size_t n, float rest) {
  const DF d;
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(hn::Set(d, rest), d, lanes);
  for (size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
}

HWY_INLINE void store_some(VF v, float* p, size_t n) {
  const DF d;
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// out = f(a, b), element by element.
template <class F>
HWY_INLINE void map(const float* a, const float* b, size_t n, float* out, F f) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes)
    hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  if (i < n)
    store_some(f(load_some(a + i, n - i, 0.0F), load_some(b + i, n - i, 0.0F)), out + i, n - i);
}

// Below this exp() rounds to zero, and Highway's Exp is not defined far below.
constexpr float kLeastExponent = -104.0F;

// exp(x) for x <= 0; a NaN stays one, which Highway's Exp alone does not promise.
HWY_INLINE VF exp_of_negative(VF x) {
  const DF d;
  const VF least = hn::Set(d, kLeastExponent);
  const VF e = hn::IfThenZeroElse(hn::Lt(x, least), hn::Exp(d, hn::Max(x, least)));
  return hn::IfThenElse(hn::IsNaN(x), x, e);
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  VF sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  size_t i = 0;
  for (; i + 4 * n_lanes <= n; i += 4 * n_lanes) {
    for (size_t k = 0; k < 4; ++k) {
      const VF v = hn::LoadU(d, x + i + k * n_lanes);
      sums[k] = hn::MulAdd(v, v, sums[k]);
    }
  }
  for (; i < n; i += n_lanes) {
    const VF v = i + n_lanes <= n ? hn::LoadU(d, x + i) : load_some(x + i, n - i, 0.0F);
    sums[0] = hn::MulAdd(v, v, sums[0]);
  }
  const VF all = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  const float mean = hn::GetLane(hn::SumOfLanes(d, all)) / static_cast<float>(n);
  const VF factor = hn::Set(d, 1.0F / std::sqrt(mean + eps));
  map(x, weight, n, out, [factor](VF a, VF w) HWY_ATTR { return hn::Mul(hn::Mul(a, factor), w); });
}

// The sum of f(x[i]).
template <class F>
HWY_INLINE float sum_of(const float* x, size_t n, F f) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  VF sum = hn::Zero(d);
  size_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) sum = hn::Add(sum, f(hn::LoadU(d, x + i)));
  float rest = 0;
  for (; i < n; ++i) rest += hn::GetLane(f(hn::Set(d, x[i])));
  return hn::GetLane(hn::SumOfLanes(d, sum)) + rest;
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n,
                float* out) {
  const DF d;
  const float mean = sum_of(x, n, [](VF v) HWY_ATTR { return v; }) / static_cast<float>(n);
  const VF centre = hn::Set(d, mean);
  const float squares = sum_of(x, n, [centre](VF v) HWY_ATTR {
    const VF difference = hn::Sub(v, centre);
    return hn::Mul(difference, difference);
  });
  const VF factor = hn::Set(d, 1.0F / std::sqrt(squares / static_cast<float>(n) + eps));
  map(x, weight, n, out, [centre, factor](VF a, VF w) HWY_ATTR {
    return hn::Mul(hn::Mul(hn::Sub(a, centre), factor), w);
  });
  map(out, bias, n, out, [](VF a, VF b) HWY_ATTR { return hn::Add(a, b); });
}

// Rotates the pairs (a[i], b[i]), stored apart.
HWY_INLINE void rotate_halves(float* a, float* b, size_t n_pairs, const float* cos,
                              const float* sin) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + n_lanes <= n_pairs; i += n_lanes) {
    const VF x0 = hn::LoadU(d, a + i);
    const VF x1 = hn::LoadU(d, b + i);
    const VF c = hn::LoadU(d, cos + i);
    const VF s = hn::LoadU(d, sin + i);
    hn::StoreU(hn::NegMulAdd(x1, s, hn::Mul(x0, c)), d, a + i);
    hn::StoreU(hn::MulAdd(x1, c, hn::Mul(x0, s)), d, b + i);
  }
  for (; i < n_pairs; ++i) {
    const float x0 = a[i];
    const float x1 = b[i];
    a[i] = x0 * cos[i] - x1 * sin[i];
    b[i] = x0 * sin[i] + x1 * cos[i];
  }
}

// The same for pairs that stand side by side.
HWY_INLINE void rotate_neighbours(float* x, size_t n_pairs, const float* cos, const float* sin) {
  const DF d;
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const size_t n_lanes = hn::Lanes(d);
  for (; i + n_lanes <= n_pairs; i += n_lanes) {
    VF x0;
    VF x1;
    hn::LoadInterleaved2(d, x + 2 * i, x0, x1);
    const VF c = hn::LoadU(d, cos + i);
    const VF s = hn::LoadU(d, sin + i);
    hn::StoreInterleaved2(hn::NegMulAdd(x1, s, hn::Mul(x0, c)), hn::MulAdd(x1, c, hn::Mul(x0, s)),
                          d, x + 2 * i);
  }
#else
  (void)d;
#endif
  for (; i < n_pairs; ++i) {
    const float x0 = x[2 * i];
    const float x1 = x[2 * i + 1];
    x[2 * i] = x0 * cos[i] - x1 * sin[i];
    x[2 * i + 1] = x0 * sin[i] + x1 * cos[i];
  }
}

void apply_rope(float* heads, size_t n_heads, size_t head_dim, size_t rope_dim, const float* cos,
                const float* sin, RopeLayout layout) {
  const size_t n_pairs = rope_dim / 2;
  for (size_t h = 0; h < n_heads; ++h) {
    float* x = heads + h * head_dim;
    if (layout == RopeLayout::kHalf) {
      rotate_halves(x, x + n_pairs, n_pairs, cos, sin);
    } else {
      rotate_neighbours(x, n_pairs, cos, sin);
    }
  }
}

// 1 / (1 + exp(-x)). exp(-|x|) cannot overflow: for x < 0 it is exp(x) / (1 + exp(x)).
HWY_INLINE VF sigmoid(VF x) {
  const DF d;
  const VF one = hn::Set(d, 1.0F);
  const VF e = exp_of_negative(hn::Neg(hn::Abs(x)));
  const VF numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one);
  return hn::Div(numerator, hn::Add(one, e));
}

void silu_mul(const float* gate, const float* up, size_t n, float* out) {
  map(gate, up, n, out, [](VF g, VF u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid(g)), u); });
}

void gelu_mul(const float* gate, const float* up, size_t n, float* out) {
  // (1 + tanh(u)) / 2 = sigmoid(2 u), which is 0 below t = -16 already: further down t may be
  // -infinity, and its product with 0 a NaN.
  map(gate, up, n, out, [](VF g, VF u) HWY_ATTR {
    const DF d;
    const VF least = hn::Set(d, -16.0F);
    const VF t = hn::IfThenElse(hn::Lt(g, least), least, g);
    const VF slope = hn::MulAdd(hn::Mul(t, t), hn::Set(d, 0.044715F), hn::Set(d, 1.0F));
    const VF two_u = hn::Mul(hn::Mul(t, hn::Set(d, 1.595769122F)), slope);  // 2 sqrt(2 / pi)
    return hn::Mul(hn::Mul(t, sigmoid(two_u)), u);
  });
}

void add_in_place(float* x, const float* y, size_t n) {
  map(x, y, n, x, [](VF a, VF b) HWY_ATTR { return hn::Add(a, b); });
}

void scale_in_place(float* x, float factor, size_t n) {
  const VF by = hn::Set(DF(), factor);
  map(x, x, n, x, [by](VF a, VF) HWY_ATTR { return hn::Mul(a, by); });
}

// The largest number; a NaN is passed over, since x86 returns the second argument of Max.
HWY_INLINE float max_of(const float* x, size_t n) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  VF max = hn::Set(d, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) max = hn::Max(hn::LoadU(d, x + i), max);
  if (i < n) max = hn::Max(load_some(x + i, n - i, -std::numeric_limits<float>::infinity()), max);
  return hn::GetLane(hn::MaxOfLanes(d, max));
}

void softmax_in_place(float* x, size_t n) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const float max = max_of(x, n);
  if (max == kNone) {
    for (size_t i = 0; i < n; ++i) x[i] = 0.0F;
    return;
  }
  const VF vmax = hn::Set(d, max);
  VF sums = hn::Zero(d);
  for (size_t i = 0; i < n; i += n_lanes) {
    const bool whole = i + n_lanes <= n;
    const VF v = hn::Sub(whole ? hn::LoadU(d, x + i) : load_some(x + i, n - i, kNone), vmax);
    const VF e = exp_of_negative(v);
    sums = hn::Add(sums, e);
    if (whole) {
      hn::StoreU(e, d, x + i);
    } else {
      store_some(e, x + i, n - i);
    }
  }
  const float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  scale_in_place(x, 1.0F / sum, n);
}

size_t argmax(const float* x, size_t n) {
  const float max = max_of(x, n);
  for (size_t i = 0; i < n; ++i) {
    if (x[i] == max) return i;
  }
  return 0;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(rms_norm);
HWY_EXPORT(layer_norm);
HWY_EXPORT(apply_rope);
HWY_EXPORT(silu_mul);
HWY_EXPORT(gelu_mul);
HWY_EXPORT(add_in_place);
HWY_EXPORT(scale_in_place);
HWY_EXPORT(softmax_in_place);
HWY_EXPORT(argmax);

void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n,
                float* out) {
  HWY_DYNAMIC_DISPATCH(layer_norm)(x, weight, bias, eps, n, out);
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(rms_norm)(x, weight, eps, n, out);
}

void apply_rope(float* heads, size_t n_heads, size_t head_dim, size_t rope_dim, const float* cos,
                const float* sin, RopeLayout layout) {
  HWY_DYNAMIC_DISPATCH(apply_rope)(heads, n_heads, head_dim, rope_dim, cos, sin, layout);
}

void silu_mul(const float* gate, const float* up, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(silu_mul)(gate, up, n, out);
}

void gelu_mul(const float* gate, const float* up, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(gelu_mul)(gate, up, n, out);
}

void add_in_place(float* x, const float* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(add_in_place)(x, y, n);
}

void scale_in_place(float* x, float factor, size_t n) {
  HWY_DYNAMIC_DISPATCH(scale_in_place)(x, factor, n);
}

void softmax_in_place(float* x, size_t n) { HWY_DYNAMIC_DISPATCH(softmax_in_place)(x, n); }

size_t argmax(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(argmax)(x, n); }

}  // namespace longhaul
#endif
