// For tests: the KV cache in the plainest C++, to compare the real one with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "cache/kv_cache.h"
#include "kernels/block_bounds.h"
#include "kernels/block_bounds_layout.h"
#include "kernels/kv_tile.h"
#include "quant/half.h"

namespace longhaul {

// K and V of every token of a sequence as attention should read them, per (layer, kv head).
class CacheModel {
 public:
  explicit CacheModel(const CacheConfig& config, const Gates* gates = nullptr)
      : config_(config), gates_(gates), heads_(config.n_layers * config.n_kv_heads) {}

  // The same tokens in a cache with gates.
  CacheModel with_gates(const CacheConfig& config, const Gates* gates) const {
    CacheModel copy(config, gates);
    copy.heads_ = heads_;
    return copy;
  }

  size_t n_tokens() const { return heads_[0].keys.size(); }

  void truncate(size_t n_tokens) {
    for (Head& head : heads_) {
      head.keys.resize(n_tokens);
      head.values.resize(n_tokens);
    }
  }

  // Writes random tokens [first, first + count) into the sequence and the model alike, in one or
  // two calls.
  void write(KvSequence& sequence, size_t first, size_t count, std::mt19937& rng) {
    const size_t d = config_.head_dim;
    const size_t stride = d + 3;
    const size_t split = rng() % (count + 1);
    for (size_t i = 0; i < heads_.size(); ++i) {
      const std::vector<float> k = random_rows(count, stride, rng);
      const std::vector<float> v = random_rows(count, stride, rng);
      const size_t layer = i / config_.n_kv_heads;
      const size_t head = i % config_.n_kv_heads;
      if (split > 0) sequence.write(layer, head, first, split, k.data(), v.data(), stride);
      sequence.write(layer, head, first + split, count - split, k.data() + split * stride,
                     v.data() + split * stride, stride);
      for (size_t t = 0; t < count; ++t) {
        put(heads_[i].keys, first + t, round_trip_k(&k[t * stride]));
        put(heads_[i].values, first + t, round_trip_v(&v[t * stride]));
      }
    }
  }

  // Whether one (layer, kv head) of the sequence has, bit for bit, the model's keys, values, bounds
  // and gate keys.
  bool matches(const KvSequence& sequence, size_t layer, size_t kv_head) const {
    const Head& head = heads_[layer * config_.n_kv_heads + kv_head];
    if (sequence.n_tokens() != head.keys.size()) return false;
    const KvView view = sequence.view(layer, kv_head);
    std::vector<float> row(config_.head_dim);
    for (size_t t = 0; t < head.keys.size(); ++t) {
      read_k(view.k_type, view.k_tile(t / kTileTokens), t % kTileTokens, row.data(), view.key_dim);
      if (!same_bits(row, head.keys[t])) return false;
      read_v(view.v_type, view.v_tile(t / kTileTokens), t % kTileTokens, row.data(),
             view.value_dim);
      if (!same_bits(row, head.values[t])) return false;
    }
    return bounds_match(sequence.bounds(layer, kv_head), head.keys) &&
           gate_keys_match(sequence.gate_keys(layer, kv_head), layer, kv_head, head.keys);
  }

  bool matches(const KvSequence& sequence) const {
    for (size_t i = 0; i < heads_.size(); ++i) {
      if (!matches(sequence, i / config_.n_kv_heads, i % config_.n_kv_heads)) return false;
    }
    return true;
  }

 private:
  using Rows = std::vector<std::vector<float>>;  // [n_tokens][head_dim]
  struct Head {
    Rows keys;
    Rows values;
  };

  // Values of many magnitudes, with zeros of both signs and ties.
  static std::vector<float> random_rows(size_t count, size_t stride, std::mt19937& rng) {
    std::normal_distribution<float> normal;
    std::vector<float> rows(count * stride);
    for (float& x : rows) {
      const uint32_t kind = rng() % 8;
      x = kind == 0 ? 0.0F : kind == 1 ? -0.0F : kind == 2 ? 1.5F : normal(rng);
    }
    return rows;
  }

  static void put(Rows& rows, size_t at, std::vector<float> row) {
    if (at == rows.size()) rows.emplace_back();
    rows[at] = std::move(row);
  }

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  std::vector<float> round_trip_k(const float* k) const {
    std::vector<std::byte> tile(k_tile_bytes(config_.k_type, config_.head_dim));
    std::vector<float> row(config_.head_dim);
    write_k(config_.k_type, tile.data(), 5, k, config_.head_dim);
    read_k(config_.k_type, tile.data(), 5, row.data(), config_.head_dim);
    return row;
  }

  std::vector<float> round_trip_v(const float* v) const {
    std::vector<std::byte> tile(v_tile_bytes(config_.v_type, config_.head_dim));
    std::vector<float> row(config_.head_dim);
    write_v(config_.v_type, tile.data(), 5, v, config_.head_dim);
    read_v(config_.v_type, tile.data(), 5, row.data(), config_.head_dim);
    return row;
  }

  bool bounds_match(const BoundsView& view, const Rows& keys) const {
    const size_t n_blocks = (keys.size() + config_.block_size - 1) / config_.block_size;
    if (view.n_blocks != n_blocks || view.head_dim != config_.head_dim) return false;
    const size_t d = config_.head_dim;
    std::vector<std::byte> expected(bounds_group_bytes(d));
    for (size_t block = 0; block < n_blocks; ++block) {
      const size_t begin = block * config_.block_size;
      const size_t end = std::min(begin + config_.block_size, keys.size());
      const size_t lane = block % kBoundsGroupBlocks;
      std::vector<float> lowest = keys[begin];
      std::vector<float> highest = keys[begin];
      for (size_t t = begin + 1; t < end; ++t) {
        for (size_t j = 0; j < d; ++j) {
          lowest[j] = std::min(lowest[j], keys[t][j]);
          highest[j] = std::max(highest[j], keys[t][j]);
        }
      }
      bounds_set(expected.data(), lane, lowest.data(), highest.data(), d);
      const std::byte* found =
          view.base + view.pages[block / kBoundsGroupBlocks] * view.page_stride;
      const auto same_at = [&](size_t offset, size_t n_bytes) {
        return std::memcmp(expected.data() + offset, found + offset, n_bytes) == 0;
      };
      for (size_t dim = 0; dim < d; dim += 4) {
        if (!same_at(bounds_codes_offset(lane, dim, d), 4)) return false;
      }
      for (size_t chunk = 0; chunk < d / kScaleDims; ++chunk) {
        if (!same_at(bounds_centre_step_offset(lane, chunk), sizeof(uint16_t))) return false;
        if (!same_at(bounds_radius_step_offset(lane, chunk), sizeof(uint16_t))) return false;
      }
      const size_t origin = bounds_origin_step_offset(0, d);
      if (!same_at(origin, bounds_origin_offset(d, d) - origin)) return false;
    }
    return true;
  }

  bool gate_keys_match(const HalfMatrixView& view, size_t layer, size_t kv_head,
                       const Rows& keys) const {
    if (view.n_rows != (gates_ == nullptr ? 0 : keys.size() / config_.block_size)) return false;
    std::vector<float> expected(config_.gate_dim), found(config_.gate_dim);
    for (size_t block = 0; block < view.n_rows; ++block) {
      const auto read = [&](size_t t, float* key) {
        std::copy_n(keys[block * config_.block_size + t].data(), config_.head_dim, key);
      };
      gates_->encode_key(layer, kv_head, block, read, expected.data());
      for (float& x : expected) x = f16_to_f32(f32_to_f16(x));
      half_tile_read_row(view.base + view.pages[block / kHalfTileRows] * view.tile_stride,
                         block % kHalfTileRows, found.data(), found.size());
      if (!same_bits(found, expected)) return false;
    }
    return true;
  }

  CacheConfig config_;
  const Gates* gates_;
  std::vector<Head> heads_;
};

}  // namespace longhaul
