#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/per_target_test.h"
#include "kernels/reference/ops.h"

namespace longhaul {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSentinel = 77.0F;
constexpr double kRound = 0x1p-24;  // relative error of one rounding to f32

// n numbers that start one float past an aligned address, with a sentinel behind them.
struct Row {
  std::vector<float> storage;
  size_t n;
  explicit Row(size_t n_in, uint32_t seed = 0, float scale = 1.0F)
      : storage(n_in + 2, kSentinel), n(n_in) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < n; ++i) data()[i] = scale * normal(random);
  }
  float* data() { return storage.data() + 1; }
  float& operator[](size_t i) { return data()[i]; }
  void expect_sentinels() {
    EXPECT_EQ(storage.front(), kSentinel);
    EXPECT_EQ(storage.back(), kSentinel);
  }
};

const std::vector<size_t>& lengths() {
  static const std::vector<size_t> all = [] {
    std::vector<size_t> n(36);
    for (size_t i = 0; i < n.size(); ++i) n[i] = i;
    n.insert(n.end(), {63, 64, 65, 67, 127, 128, 896, 1000});
    return n;
  }();
  return all;
}

class Ops : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(Ops);

TEST_P(Ops, RmsNorm) {
  for (const size_t n : lengths()) {
    if (n == 0) continue;
    Row x(n, 1, 3.0F);
    Row weight(n, 2);
    Row out(n);
    std::vector<double> expected(n);
    reference::rms_norm(x.data(), weight.data(), 1e-6F, n, expected.data());
    rms_norm(x.data(), weight.data(), 1e-6F, n, out.data());
    // The sum of n squares has a relative error of n roundings, halved by the root; then five more.
    const double tolerance = (0.5 * static_cast<double>(n) + 8.0) * kRound;
    for (size_t i = 0; i < n; ++i)
      EXPECT_NEAR(out[i], expected[i], tolerance * std::abs(expected[i])) << n << " " << i;
    out.expect_sentinels();
    rms_norm(x.data(), weight.data(), 1e-6F, n, x.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], out[i]);
    x.expect_sentinels();
  }
}

TEST_P(Ops, LayerNorm) {
  for (const size_t n : lengths()) {
    if (n == 0) continue;
    Row x(n, 1, 3.0F);
    Row weight(n, 2), bias(n, 3);
    Row out(n);
    for (size_t i = 0; i < n; ++i) x[i] += 2.0F;
    std::vector<double> expected(n);
    reference::layer_norm(x.data(), weight.data(), bias.data(), 1e-5F, n, expected.data());
    layer_norm(x.data(), weight.data(), bias.data(), 1e-5F, n, out.data());
    // Sums of n numbers and of n squares, and the differences lose as much as the mean was off; a
    // lone number minus itself is nothing.
    const double tolerance = n == 1 ? 1e-3 : (2.0 * static_cast<double>(n) + 32.0) * kRound;
    for (size_t i = 0; i < n; ++i)
      EXPECT_NEAR(out[i], expected[i], tolerance * (8 + std::abs(expected[i]))) << n << " " << i;
    out.expect_sentinels();
    layer_norm(x.data(), weight.data(), bias.data(), 1e-5F, n, x.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], out[i]);
    x.expect_sentinels();
  }
}

TEST_P(Ops, Rope) {
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf}) {
    for (const size_t n_pairs : lengths()) {
      const size_t rope_dim = 2 * n_pairs;
      for (const size_t head_dim : {rope_dim, rope_dim + 6}) {
        Row heads(3 * head_dim, 3);
        std::vector<float> cos(n_pairs);
        std::vector<float> sin(n_pairs);
        for (size_t i = 0; i < n_pairs; ++i) {
          cos[i] = std::cos(static_cast<float>(i) * 0.7F);
          sin[i] = std::sin(static_cast<float>(i) * 0.7F);
        }
        std::vector<double> expected(3 * head_dim);
        reference::apply_rope(heads.data(), 3, head_dim, rope_dim, cos.data(), sin.data(), layout,
                              expected.data());
        Row before = heads;
        apply_rope(heads.data(), 3, head_dim, rope_dim, cos.data(), sin.data(), layout);
        for (size_t i = 0; i < heads.n; ++i) {
          // Two products and a sum of a pair of length at most |x0| + |x1| <= 2 * 6.
          EXPECT_NEAR(heads[i], expected[i], 3 * kRound * 12.0) << n_pairs << " " << i;
          if (i % head_dim >= rope_dim) {
            EXPECT_EQ(heads[i], before[i]);
          }
        }
        heads.expect_sentinels();
      }
    }
  }
}

TEST_P(Ops, SiluMul) {
  for (const size_t n : lengths()) {
    Row gate(n, 4, 5.0F);
    Row up(n, 5);
    Row out(n);
    silu_mul(gate.data(), up.data(), n, out.data());
    for (size_t i = 0; i < n; ++i) {
      const double expected = reference::silu(gate[i]) * up[i];
      // exp within 2 ulp and five roundings after it.
      EXPECT_NEAR(out[i], expected, 9 * kRound * std::abs(expected)) << n << " " << i;
    }
    out.expect_sentinels();
    silu_mul(gate.data(), up.data(), n, gate.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(gate[i], out[i]);
  }
}

TEST_P(Ops, SiluOfLargeNumbers) {
  std::vector<float> gate = {-1e30F, -1000.0F, -104.5F, -88.0F, -0.0F,
                             0.0F,   88.0F,    1000.0F, 1e30F,  kInf};
  for (const float g : gate) {
    const float one = 1.0F;
    float out = kSentinel;
    silu_mul(&g, &one, 1, &out);
    const double expected = reference::silu(g);
    // Below exp(-104) the exponential is 0 or denormal: an absolute error of |g| of its last place.
    EXPECT_TRUE(out == static_cast<float>(expected) ||
                std::abs(out - expected) <=
                    9 * kRound * std::abs(expected) + std::abs(g) * 0x1p-149)
        << g << " " << out;
  }
  const float nan = kNan;
  const float one = 1.0F;
  float out = 0.0F;
  silu_mul(&nan, &one, 1, &out);
  EXPECT_TRUE(std::isnan(out));
}

// 2 u is a product of six roundings at most, its constants' included; exp(2 u) is off by as much
// of |2 u|, and by 2 ulp; five roundings follow. Below exp(-87) it is denormal or 0: an absolute
// error of its last place.
double gelu_tolerance(double t, double up) {
  const double two_u = 2 * std::sqrt(2 / std::acos(-1.0)) * (t + 0.044715 * t * t * t);
  const double relative = (6 * std::min(std::abs(two_u), 105.0) + 9) * kRound;
  const double product = std::max(t, -16.0) * up;
  return relative * std::abs(reference::gelu(t) * up) + (std::abs(product) + 1) * 0x1p-149;
}

TEST_P(Ops, GeluMul) {
  for (const size_t n : lengths()) {
    Row gate(n, 4, 3.0F);
    Row up(n, 5);
    Row out(n);
    gelu_mul(gate.data(), up.data(), n, out.data());
    for (size_t i = 0; i < n; ++i)
      EXPECT_NEAR(out[i], reference::gelu(gate[i]) * up[i], gelu_tolerance(gate[i], up[i]));
    out.expect_sentinels();
    gelu_mul(gate.data(), up.data(), n, gate.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(gate[i], out[i]);
  }
}

TEST_P(Ops, GeluIsThatOfTanh) {
  for (double t = -20; t <= 20; t += 0x1p-6) {
    const double u = std::sqrt(2 / std::acos(-1.0)) * (t + 0.044715 * t * t * t);
    const double expected = t / 2 * (1 + std::tanh(u));
    EXPECT_NEAR(reference::gelu(t), expected, 0x1p-50 * (1 + std::abs(t))) << t;
    const auto gate = static_cast<float>(t);
    const float one = 1.0F;
    float out = kSentinel;
    gelu_mul(&gate, &one, 1, &out);
    EXPECT_NEAR(out, reference::gelu(gate), gelu_tolerance(gate, 1.0)) << t;
  }
}

TEST_P(Ops, GeluOfLargeNumbers) {
  const float one = 1.0F;
  float out = kSentinel;
  for (const float g : {20.0F, 1000.0F, 1e12F, 1e30F, 3e38F, kInf}) {
    gelu_mul(&g, &one, 1, &out);
    EXPECT_EQ(out, g);
    const float negative = -g;
    gelu_mul(&negative, &one, 1, &out);
    EXPECT_EQ(out, 0.0F) << negative;
  }
  gelu_mul(&kNan, &one, 1, &out);
  EXPECT_TRUE(std::isnan(out));
}

TEST_P(Ops, ScaleInPlace) {
  for (const size_t n : lengths()) {
    Row x(n, 10);
    const Row before = x;
    scale_in_place(x.data(), -1.7F, n);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], before.storage[i + 1] * -1.7F);
    x.expect_sentinels();
  }
}

TEST_P(Ops, AddInPlace) {
  for (const size_t n : lengths()) {
    Row x(n, 6);
    Row y(n, 7);
    const Row before = x;
    add_in_place(x.data(), y.data(), n);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], before.storage[i + 1] + y[i]);
    x.expect_sentinels();
  }
}

TEST_P(Ops, Softmax) {
  for (const size_t n : lengths()) {
    for (const float scale : {0.1F, 3.0F, 60.0F}) {
      Row x(n, 8, scale);
      if (n > 4) x[n / 2] = -kInf;
      std::vector<double> expected(n);
      reference::softmax(x.data(), n, expected.data());
      double range = 1.0;
      for (size_t i = 0; i < n; ++i)
        range = std::max(range, std::isinf(x[i]) ? 0.0 : std::abs(2.0 * x[i]) + 1.0);
      softmax_in_place(x.data(), n);
      // The difference to the largest is rounded (its size turns into relative error), then exp, n
      // sums, the division.
      const double tolerance = (range + 2.0 * static_cast<double>(n) + 8.0) * kRound;
      for (size_t i = 0; i < n; ++i)
        EXPECT_NEAR(x[i], expected[i], tolerance * expected[i] + 0x1p-126) << n << " " << i;
      x.expect_sentinels();
    }
  }
}

TEST_P(Ops, SoftmaxOfNothing) {
  std::vector<float> x(21, -kInf);
  softmax_in_place(x.data(), x.size());
  for (const float p : x) EXPECT_EQ(p, 0.0F);
  x.assign(21, 1.0F);
  x[17] = kNan;
  softmax_in_place(x.data(), x.size());
  EXPECT_TRUE(std::isnan(x[0]));
}

TEST_P(Ops, Argmax) {
  for (const size_t n : lengths()) {
    if (n == 0) continue;
    Row x(n, 9);
    EXPECT_EQ(argmax(x.data(), n), reference::argmax(x.data(), n));
    x[n / 2] = x[n - 1] = 50.0F;
    EXPECT_EQ(argmax(x.data(), n), n / 2);
    for (size_t i = 0; i < n; i += 3) x[i] = kNan;
    EXPECT_EQ(argmax(x.data(), n), reference::argmax(x.data(), n)) << n;
    for (size_t i = 0; i < n; ++i) x[i] = -kInf;
    EXPECT_EQ(argmax(x.data(), n), 0U);
    for (size_t i = 0; i < n; ++i) x[i] = kNan;
    EXPECT_EQ(argmax(x.data(), n), 0U);
  }
}

}  // namespace
}  // namespace longhaul
