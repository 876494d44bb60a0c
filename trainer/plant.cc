#include "trainer/plant.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr int64_t kCode = 32;        // dimensions of a token's code
constexpr int64_t kOffsets = 3;      // how far back the first layer looks
constexpr double kConstant = 4;      // value of the constant dimension; content has variance 1
constexpr double kCopyStrength = 6;  // of a found token against the present one, in the output

// The share of the squared norm that each of the fastest RoPE pairs gets in a positional pattern:
// fast ones tell neighbours apart, slow ones tell blocks apart.
constexpr double kPairShare[] = {20, 14, 10, 6, 4, 3, 3, 2, 1, 1};

// A vector of head_dim that, as a query against the same pattern with offset 0 as a key, peaks at
// the key `offset` tokens back.
Tensor position_pattern(const ModelConfig& config, int64_t offset) {
  Tensor pattern = at::zeros({config.head_dim});
  for (int64_t i = 0; i < static_cast<int64_t>(std::size(kPairShare)); ++i) {
    const double frequency = std::pow(
        config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    const double angle = -frequency * static_cast<double>(offset);
    const double amplitude = std::sqrt(kPairShare[i] / 64);
    pattern[i] = amplitude * std::cos(angle);
    pattern[i + config.head_dim / 2] = amplitude * std::sin(angle);
  }
  return pattern;
}

// Rows of a head whose RoPE frequency is among the kCode / 2 slowest.
Tensor slow_rows(const ModelConfig& config) {
  const int64_t half = config.head_dim / 2;
  const int64_t pairs = kCode / 2;
  return at::cat({at::arange(half - pairs, half), at::arange(2 * half - pairs, 2 * half)});
}

}  // namespace

Status plant_lookup(const ModelConfig& config, ModelWeights& weights) {
  if (!config.qk_norm || config.n_layers < 2 || config.head_dim != 64 || config.n_heads != 4 ||
      config.n_kv_heads != 2 || config.d_model < 192) {
    return bad_input(
        "--planted needs QK-norm, 2 layers, 4 heads of 64, 2 KV heads and d-model 192; found {} "
        "layers, {} heads of {}, {} KV heads, d-model {}",
        config.n_layers, config.n_heads, config.head_dim, config.n_kv_heads, config.d_model);
  }
  const at::NoGradGuard no_grad;
  const int64_t head = config.head_dim;
  const int64_t first_code = config.d_model / 2;
  const int64_t n_content = first_code - 1;
  const auto content = [&](const Tensor& matrix) { return matrix.narrow(1, 1, n_content); };

  weights.embedding.select(1, 0).fill_(kConstant);
  weights.embedding.narrow(1, first_code, kOffsets * kCode).zero_();
  const Tensor code = at::randn({kCode, n_content}) / std::sqrt(static_cast<double>(n_content));

  // First layer: groups look 1, 2 and 3, 3 tokens back.
  LayerWeights& previous = weights.layers[0];
  previous.wq.narrow(0, 0, 4 * head).zero_();
  previous.wk.narrow(0, 0, 2 * head).zero_();
  for (int64_t group = 0; group < 2; ++group) {
    previous.wk.narrow(0, group * head, head).select(1, 0).copy_(position_pattern(config, 0));
    content(previous.wv.narrow(0, group * head, kCode).zero_()).copy_(code);
  }
  for (int64_t h = 0; h < 4; ++h) {
    const int64_t offset = std::min(h + 1, kOffsets);
    previous.wq.narrow(0, h * head, head).select(1, 0).copy_(position_pattern(config, offset));
    if (h + 1 > kOffsets) continue;
    previous.wo.narrow(0, first_code + h * kCode, kCode)
        .narrow(1, h * head, kCode)
        .copy_(at::eye(kCode));
  }

  // Second layer: the token after this one's earlier copy; the token three after an earlier copy of
  // the one three back.
  LayerWeights& lookup = weights.layers[1];
  const Tensor rows = slow_rows(config);
  const auto reader = [&](int64_t first_column, const Tensor& what) {
    Tensor matrix = at::zeros({head, config.d_model});
    matrix.narrow(1, first_column, what.size(1)).index_copy_(0, rows, what);
    return matrix;
  };
  const Tensor eye = at::eye(kCode);
  const Tensor queries[] = {reader(1, code), reader(first_code + 2 * kCode, eye)};
  const Tensor keys[] = {reader(first_code, eye), reader(first_code + 2 * kCode, eye)};
  const int64_t n_copied = std::min(n_content, head);
  const Tensor copied = std::get<0>(at::linalg_qr(at::randn({n_content, n_copied})));
  for (int64_t group = 0; group < 2; ++group) {
    for (int64_t h = 2 * group; h < 2 * group + 2; ++h) {
      lookup.wq.narrow(0, h * head, head).copy_(queries[group]);
    }
    lookup.wk.narrow(0, group * head, head).copy_(keys[group]);
    content(lookup.wv.narrow(0, group * head, n_copied).zero_()).copy_(copied.t());
    lookup.wo.narrow(0, 1, n_content)
        .narrow(1, 2 * group * head, n_copied)
        .copy_(copied * kCopyStrength);
  }
  return {};
}

}  // namespace longhaul::trainer
