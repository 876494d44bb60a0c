#include "kernels/retention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/per_target_test.h"
#include "kernels/reference/retention.h"

namespace longhaul {
namespace {

// One head's input in f32, with log decays from `decay(token)`.
struct Case {
  template <class Decay>
  Case(size_t n_in, size_t key_dim_in, size_t value_dim_in, Decay log_decay)
      : n(n_in), key_dim(key_dim_in), value_dim(value_dim_in) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (auto [numbers, size] : {std::pair{&q, key_dim}, {&k, key_dim}, {&v, value_dim}}) {
      numbers->resize(n * size);
      for (float& x : *numbers) x = normal(random) / std::sqrt(static_cast<float>(key_dim));
    }
    for (size_t t = 0; t < n; ++t) {
      logs.push_back(log_decay(t));
      decay.push_back(static_cast<float>(std::exp(logs.back())));
    }
  }

  reference::Retention exact() const {
    return {.n = n,
            .key_dim = key_dim,
            .value_dim = value_dim,
            .q = {q.begin(), q.end()},
            .k = {k.begin(), k.end()},
            .v = {v.begin(), v.end()},
            .log_decay = logs};
  }

  // Tokens [first, first + count) from `state` on; columns in `n_slices` calls.
  void run(std::vector<float>& state, std::vector<float>& out, size_t first, size_t count,
           size_t n_slices = 1) const {
    RetentionJob job{.q = q.data() + first * key_dim,
                     .k = k.data() + first * key_dim,
                     .v = v.data() + first * value_dim,
                     .decay = decay.data() + first,
                     .state = state.data(),
                     .out = out.data() + first * value_dim,
                     .q_stride = key_dim,
                     .k_stride = key_dim,
                     .v_stride = value_dim,
                     .out_stride = value_dim,
                     .n_rows = count,
                     .key_dim = key_dim,
                     .value_dim = value_dim};
    for (size_t i = 0; i < n_slices; ++i)
      retain(job, i * (value_dim / n_slices), value_dim / n_slices);
  }

  size_t n, key_dim, value_dim;
  std::vector<float> q, k, v, decay;
  std::vector<double> logs;
};

double largest_error(const std::vector<double>& expected, const auto& found) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error = std::max(error, std::abs(expected[i] - static_cast<double>(found[i])));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return error / largest;
}

double fixed(size_t) { return std::log(1 - 1.0 / 64); }
double gated(size_t t) { return -0.3 * static_cast<double>((t * 7919) % 101) / 101 - 1e-4; }

TEST(RetentionForms, Agree) {
  for (const auto decay : {fixed, gated}) {
    const auto x = Case(150, 32, 64, decay).exact();
    const std::vector<double> parallel = retain_parallel(x);
    EXPECT_LT(largest_error(parallel, retain_recurrent(x)), 1e-12);
    for (const size_t chunk : {1, 7, 64, 149, 150, 1000})
      EXPECT_LT(largest_error(parallel, retain_chunkwise(x, chunk)), 1e-12) << chunk;
  }
}

TEST(RetentionForms, ForgetAtOnceAndNever) {
  auto x = Case(40, 32, 32, [](size_t) { return -640.0; }).exact();
  const std::vector<double> alone = retain_chunkwise(x, 16);
  std::fill(x.log_decay.begin(), x.log_decay.end(), 0.0);  // plain linear attention
  const std::vector<double> all = retain_parallel(x);
  EXPECT_LT(largest_error(all, retain_chunkwise(x, 16)), 1e-12);
  for (size_t n = 0; n < x.n; ++n) {
    double own = 0, linear = 0;  // of the first column
    for (size_t m = 0; m <= n; ++m) {
      double score = 0;
      for (size_t i = 0; i < x.key_dim; ++i) score += x.q[n * 32 + i] * x.k[m * 32 + i];
      linear += score * x.v[m * 32];
      if (m == n) own = score * x.v[m * 32];
    }
    EXPECT_NEAR(alone[n * 32], own, 1e-14);
    EXPECT_NEAR(all[n * 32], linear, 1e-12);
  }
}

class Retention : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(Retention);

TEST_P(Retention, IsTheReference) {
  for (const auto decay : {fixed, gated}) {
    for (const auto& [key_dim, value_dim] :
         std::vector<std::pair<size_t, size_t>>{{32, 32}, {64, 128}, {96, 32}}) {
      const Case x(133, key_dim, value_dim, decay);
      std::vector<float> state(key_dim * value_dim, 0.0F), out(x.n * value_dim, NAN);
      x.run(state, out, 0, x.n);
      EXPECT_LT(largest_error(retain_parallel(x.exact()), out), 5e-6)
          << key_dim << ' ' << value_dim;
    }
  }
}

TEST_P(Retention, SameBitsHoweverItIsCut) {
  const Case x(100, 64, 96, gated);
  std::vector<float> state(64 * 96, 0.0F), out(x.n * 96);
  x.run(state, out, 0, x.n);
  for (const size_t chunk : {1, 3, 16, 17, 99}) {
    std::vector<float> other(64 * 96, 0.0F), pieces(x.n * 96);
    for (size_t t = 0; t < x.n; t += chunk) x.run(other, pieces, t, std::min(chunk, x.n - t), 3);
    EXPECT_EQ(out, pieces) << chunk;
    EXPECT_EQ(state, other) << chunk;
  }
}

TEST_P(Retention, ADecayOfZeroForgets) {
  const Case x(20, 32, 32, [](size_t t) { return t == 10 ? -640.0 : -0.01; });
  std::vector<float> state(32 * 32, 0.0F), out(x.n * 32);
  x.run(state, out, 0, x.n);
  std::vector<float> fresh(32 * 32, 0.0F), tail(x.n * 32);
  x.run(fresh, tail, 10, 10);
  EXPECT_TRUE(std::equal(out.begin() + 320, out.end(), tail.begin() + 320));
  EXPECT_EQ(state, fresh);
}

}  // namespace
}  // namespace longhaul
