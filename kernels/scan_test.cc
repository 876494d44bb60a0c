#include "kernels/scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/per_target_test.h"
#include "kernels/reference/scan.h"

namespace longhaul {
namespace {

// Inputs in f32, `steps` around their bias.
struct Case {
  Case(size_t n_in, size_t n_channels_in, size_t n_states_in, float step_bias_in)
      : n(n_in), n_channels(n_channels_in), n_states(n_states_in) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& numbers, size_t size, float mean, float deviation) {
      numbers.resize(size);
      for (float& number : numbers) number = mean + deviation * normal(random);
    };
    fill(step, n * n_channels, 0, 1);
    fill(x, n * n_channels, 0, 1);
    fill(b, n * n_states, 0, 1);
    fill(c, n * n_states, 0, 1);
    fill(step_bias, n_channels, step_bias_in, 0.5F);
    fill(d, n_channels, 1, 0.3F);
    a.resize(n_channels * n_states);
    for (size_t i = 0; i < a.size(); ++i) a[i] = -static_cast<float>(i % n_states + 1);
  }

  reference::Scan exact() const {
    return {.n = n,
            .n_channels = n_channels,
            .n_states = n_states,
            .step = {step.begin(), step.end()},
            .x = {x.begin(), x.end()},
            .b = {b.begin(), b.end()},
            .c = {c.begin(), c.end()},
            .step_bias = {step_bias.begin(), step_bias.end()},
            .a = {a.begin(), a.end()},
            .d = {d.begin(), d.end()}};
  }

  // Tokens [first, first + count) from `state` on; channels in `n_slices` calls.
  void run(std::vector<float>& state, std::vector<float>& out, size_t first, size_t count,
           size_t n_slices = 1) const {
    const ScanJob job{.step = step.data() + first * n_channels,
                      .x = x.data() + first * n_channels,
                      .b = b.data() + first * n_states,
                      .c = c.data() + first * n_states,
                      .step_bias = step_bias.data(),
                      .a = a.data(),
                      .d = d.data(),
                      .state = state.data(),
                      .out = out.data() + first * n_channels,
                      .step_stride = n_channels,
                      .x_stride = n_channels,
                      .b_stride = n_states,
                      .c_stride = n_states,
                      .out_stride = n_channels,
                      .n_rows = count,
                      .n_states = n_states};
    const size_t n_each = n_channels / n_slices;
    for (size_t i = 0; i < n_slices; ++i) scan(job, i * n_each, n_each);
  }

  size_t n, n_channels, n_states;
  std::vector<float> step, x, b, c, step_bias, a, d;
};

double largest_error(const std::vector<double>& expected, const std::vector<float>& found) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error = std::max(error, std::abs(expected[i] - static_cast<double>(found[i])));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return error / largest;
}

class Scan : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(Scan);

// Steps as trained models have them, and far larger and smaller ones.
TEST_P(Scan, IsTheReference) {
  for (const float step_bias : {-4.0F, 2.0F, 60.0F, -90.0F}) {
    const Case x(75, 64, 32, step_bias);
    std::vector<float> state(64 * 32, 0.0F), out(x.n * 64, NAN);
    x.run(state, out, 0, x.n);
    EXPECT_LT(largest_error(reference::scan(x.exact()), out), 5e-6) << step_bias;
  }
}

TEST_P(Scan, SameBitsHoweverItIsCut) {
  const Case x(100, 96, 16, -2);
  std::vector<float> state(96 * 16, 0.0F), out(x.n * 96);
  x.run(state, out, 0, x.n);
  for (const size_t chunk : {1, 3, 16, 17, 99}) {
    std::vector<float> other(96 * 16, 0.0F), pieces(x.n * 96);
    for (size_t t = 0; t < x.n; t += chunk) x.run(other, pieces, t, std::min(chunk, x.n - t), 3);
    EXPECT_EQ(out, pieces) << chunk;
    EXPECT_EQ(state, other) << chunk;
  }
}

}  // namespace
}  // namespace longhaul
