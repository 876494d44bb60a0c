#include "attention/gate/gates.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/kv_tile.h"

namespace longhaul {
namespace {

constexpr size_t kPools = 3;             // max, min, mean, in this order
constexpr float kLargestKey = 65504.0F;  // of f16
constexpr float kLargestQuery = 1e30F;   // its product with keys stays finite

// The matrices of all layers and KV heads, [n_rows, n_cols] each, as tiles one after another.
AlignedBuffer<std::byte> pack(const GateWeights& weights, std::vector<float> LayerGate::*matrices,
                              size_t n_cols) {
  const size_t layer_rows = weights.base.n_kv_heads * weights.dim;  // a multiple of a tile's
  const size_t layer_bytes = layer_rows / kHalfTileRows * half_tile_bytes(n_cols);
  AlignedBuffer<std::byte> tiles(weights.layers.size() * layer_bytes);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const std::vector<float>& rows = weights.layers[i].*matrices;
    LH_CHECK(rows.size() == layer_rows * n_cols);
    for (size_t row = 0; row < layer_rows; ++row) {
      std::byte* const tile =
          tiles.data() + i * layer_bytes + row / kHalfTileRows * half_tile_bytes(n_cols);
      half_tile_set_row(tile, row % kHalfTileRows, rows.data() + row * n_cols, n_cols);
    }
  }
  return tiles;
}

void limit(float* values, size_t n, float largest) {
  for (size_t i = 0; i < n; ++i)
    values[i] = std::isnan(values[i]) ? 0.0F : std::clamp(values[i], -largest, largest);
}

// Cosines and sines of a position, times `factor`.
void set_angles(std::span<const double> frequencies, size_t pos, double factor, float* cos,
                float* sin) {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(pos) * frequencies[i];  // in f32 it would be off
    cos[i] = static_cast<float>(std::cos(angle) * factor);
    sin[i] = static_cast<float>(std::sin(angle) * factor);
  }
}

}  // namespace

Gates::Gates(const GateWeights& weights, RopeAngles rope)
    : rope_(std::move(rope)),
      gate_frequencies_(weights.dim / 2),
      block_size_(weights.block_size),
      sink_blocks_(weights.sink_blocks),
      dim_(weights.dim),
      n_kv_heads_(weights.base.n_kv_heads),
      n_group_(weights.base.n_group()),
      head_dim_(weights.base.head_dim),
      rotates_(weights.rope),
      normalises_(weights.qk_norm),
      norm_eps_(weights.norm_eps),
      wq_(pack(weights, &LayerGate::wq, n_group_ * head_dim_)),
      wk_(pack(weights, &LayerGate::wk, kPools * head_dim_)) {
  const size_t n_frequencies = rope_.frequencies.size();
  LH_CHECK(2 * n_frequencies <= head_dim_ && head_dim_ <= kMaxHeadDim && dim_ <= kMaxGateDim);
  for (size_t i = 0; i < gate_frequencies_.size(); ++i) {
    gate_frequencies_[i] =
        std::pow(rope_.theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim_));
  }
  for (const LayerGate& layer : weights.layers) {
    q_norm_.push_back(layer.q_norm);
    k_norm_.push_back(layer.k_norm);
  }
  offset_cos_.resize(block_size_ * n_frequencies);
  offset_sin_.resize(block_size_ * n_frequencies);
  for (size_t t = 0; t < block_size_; ++t) {
    set_angles(rope_.frequencies, t, 1.0, offset_cos_.data() + t * n_frequencies,
               offset_sin_.data() + t * n_frequencies);
  }
}

HalfMatrixView Gates::matrix(const AlignedBuffer<std::byte>& tiles, size_t layer, size_t kv_head,
                             size_t n_cols) const {
  const size_t n_bytes = dim_ / kHalfTileRows * half_tile_bytes(n_cols);
  return {.base = tiles.data() + (layer * n_kv_heads_ + kv_head) * n_bytes,
          .tile_stride = half_tile_bytes(n_cols),
          .n_rows = dim_,
          .n_cols = n_cols};
}

void Gates::encode_key(size_t layer, size_t kv_head, size_t block, ReadKey read, float* key) const {
  const size_t d = head_dim_;
  const size_t n_frequencies = rope_.frequencies.size();
  alignas(64) float pools[kPools * kMaxHeadDim];  // [3, head_dim]
  float* const highest = pools;
  float* const lowest = pools + d;
  float* const mean = pools + 2 * d;
  float first_cos[kMaxHeadDim / 2], first_sin[kMaxHeadDim / 2];
  set_angles(rope_.frequencies, block * block_size_, 1.0 / rope_.magnitude, first_cos, first_sin);
  for (size_t t = 0; t < block_size_; ++t) {
    alignas(64) float x[kMaxHeadDim];
    float cos[kMaxHeadDim / 2], sin[kMaxHeadDim / 2];
    const float* const offset_cos = offset_cos_.data() + t * n_frequencies;
    const float* const offset_sin = offset_sin_.data() + t * n_frequencies;
    for (size_t i = 0; i < n_frequencies; ++i) {  // minus the sum of both angles
      cos[i] = first_cos[i] * offset_cos[i] - first_sin[i] * offset_sin[i];
      sin[i] = -(first_sin[i] * offset_cos[i] + first_cos[i] * offset_sin[i]);
    }
    read(t, x);
    apply_rope(x, 1, d, 2 * n_frequencies, cos, sin, rope_.layout);
    for (size_t j = 0; j < d; ++j) {
      highest[j] = t == 0 ? x[j] : std::max(highest[j], x[j]);
      lowest[j] = t == 0 ? x[j] : std::min(lowest[j], x[j]);
      mean[j] = t == 0 ? x[j] : mean[j] + x[j];
    }
  }
  for (size_t j = 0; j < d; ++j) mean[j] /= static_cast<float>(block_size_);
  multiply(matrix(wk_, layer, kv_head, kPools * d), pools, key);
  float gate_cos[kMaxGateDim / 2], gate_sin[kMaxGateDim / 2];
  set_angles(gate_frequencies_, block * block_size_, 1.0, gate_cos, gate_sin);
  finish(k_norm_[layer], gate_cos, gate_sin, key);
  limit(key, dim_, kLargestKey);
}

// RMSNorm and RoPE of a gate key or query, where these gates have them.
void Gates::finish(const std::vector<float>& norm, const float* cos, const float* sin,
                   float* vector) const {
  if (normalises_) rms_norm(vector, norm.data(), norm_eps_, dim_, vector);
  if (rotates_) apply_rope(vector, 1, dim_, dim_, cos, sin, RopeLayout::kHalf);
}

// [n_frequencies] cosines and sines that take the model's rotation back, then [dim / 2] of the
// gate's.
void Gates::query_angles(size_t pos, float* angles) const {
  const size_t n_frequencies = rope_.frequencies.size();
  float* const sin = angles + n_frequencies;
  set_angles(rope_.frequencies, pos, 1.0 / rope_.magnitude, angles, sin);
  for (size_t i = 0; i < n_frequencies; ++i) sin[i] = -sin[i];
  float* const gate_cos = sin + n_frequencies;
  set_angles(gate_frequencies_, pos, 1.0, gate_cos, gate_cos + dim_ / 2);
}

void Gates::encode_query(size_t layer, size_t kv_head, const float* angles, const float* q,
                         float* query) const {
  const size_t d = head_dim_;
  const size_t n_frequencies = rope_.frequencies.size();
  HalfMatrixView columns = matrix(wq_, layer, kv_head, n_group_ * d);
  columns.n_cols = d;
  std::fill_n(query, dim_, 0.0F);
  for (size_t head = 0; head < n_group_; ++head) {
    alignas(64) float x[kMaxHeadDim];
    alignas(64) float part[kMaxGateDim];
    std::copy_n(q + head * d, d, x);
    apply_rope(x, 1, d, 2 * n_frequencies, angles, angles + n_frequencies, rope_.layout);
    multiply(columns, x, part);
    add_in_place(query, part, dim_);
    columns.base += half_tile_bytes(d);  // the next head's columns
  }
  const float* const gate_cos = angles + 2 * n_frequencies;
  finish(q_norm_[layer], gate_cos, gate_cos + dim_ / 2, query);
  limit(query, dim_, kLargestQuery);
}

}  // namespace longhaul
