// For tests: a paged slot in the plainest C++, to compare the real one with, and summaries of the
// two kinds that selectors have.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "kernels/kv_tile.h"
#include "state/kv_cache.h"
#include "state/state_file.h"

namespace longhaul {

// Per block the sum of its keys' numbers, less the first number of its group: saved, and dependent
// on the first block of the group, as bounds are.
class SumSummary : public Summary {
 public:
  explicit SumSummary(size_t key_dim) : key_dim_(key_dim) {}

  SummarySpec spec() const override {
    return {.name = "sums", .tag = section_tag("SUMS"), .group_bytes = 64, .summary = this};
  }
  void update(const KeyChange& change) const override {
    const size_t group_tokens = kGroupBlocks * change.block_size;
    const size_t last_group = (change.end - 1) / group_tokens * group_tokens;
    const bool is_first = change.first <= last_group;
    const size_t until =
        is_first ? std::min(last_group + group_tokens, change.n_tokens) : change.end;
    std::vector<float> key(key_dim_);
    for (size_t block = change.first / change.block_size; block * change.block_size < until;
         ++block) {
      const size_t first = block * change.block_size;
      change.read_key(first / group_tokens * group_tokens, key.data());
      float sum = -key[0];
      for (size_t pos = first; pos < std::min(first + change.block_size, change.n_tokens); ++pos) {
        change.read_key(pos, key.data());
        sum = std::accumulate(key.begin(), key.end(), sum);
      }
      set(change.group(block), block % kGroupBlocks, sum);
    }
  }
  void blank(std::byte* group, size_t n_tokens, size_t block_size) const override {
    for (size_t lane = (n_tokens + block_size - 1) / block_size; lane < kGroupBlocks; ++lane)
      set(group, lane, 0.0F);
  }

 private:
  static void set(std::byte* group, size_t lane, float value) {
    std::memcpy(group + lane * sizeof(float), &value, sizeof(float));
  }

  size_t key_dim_;
};

// Per complete block the first number of its last key: not saved, as gate keys are not.
class LastKeySummary : public Summary {
 public:
  explicit LastKeySummary(size_t key_dim) : key_dim_(key_dim) {}

  SummarySpec spec() const override {
    return {.name = "last keys", .tag = 0, .group_bytes = 64, .summary = this};
  }
  void update(const KeyChange& change) const override {
    std::vector<float> key(key_dim_);
    for (size_t block = change.first / change.block_size;
         (block + 1) * change.block_size <= change.n_tokens &&
         block * change.block_size < change.end;
         ++block) {
      change.read_key((block + 1) * change.block_size - 1, key.data());
      std::memcpy(change.group(block) + block % kGroupBlocks * sizeof(float), key.data(),
                  sizeof(float));
    }
  }
  void blank(std::byte* group, size_t n_tokens, size_t block_size) const override {
    const size_t n_used = n_tokens / block_size * sizeof(float);
    std::fill(group + n_used, group + 64, std::byte{0});
  }

 private:
  size_t key_dim_;
};

// K and V of every token of a sequence as attention should read them, per (layer, kv head).
class CacheModel {
 public:
  explicit CacheModel(const CacheConfig& config)
      : config_(config), heads_(config.n_layers * config.n_kv_heads) {}

  // The same tokens in a cache with other summaries.
  CacheModel with(const CacheConfig& config) const {
    CacheModel copy(config);
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
    const size_t stride = std::max(config_.key_dim, config_.value_dim) + 3;
    const size_t split = rng() % (count + 1);
    for (size_t i = 0; i < heads_.size(); ++i) {
      const std::vector<float> k = random_rows(count, stride, rng);
      const std::vector<float> v = random_rows(count, stride, rng);
      const size_t layer = i / config_.n_kv_heads;
      const size_t head = i % config_.n_kv_heads;
      if (split > 0) sequence.write(layer, head, first, split, k.data(), stride, v.data(), stride);
      sequence.write(layer, head, first + split, count - split, k.data() + split * stride, stride,
                     v.data() + split * stride, stride);
      for (size_t t = 0; t < count; ++t) {
        put(heads_[i].keys, first + t, round_trip_k(&k[t * stride]));
        put(heads_[i].values, first + t, round_trip_v(&v[t * stride]));
      }
    }
  }

  // Whether one (layer, kv head) of the sequence has, bit for bit, the model's keys and values (of
  // a window those that the next query sees) and the summaries computed from scratch.
  bool matches(const KvSequence& sequence, size_t layer, size_t kv_head) const {
    const Head& head = heads_[layer * config_.n_kv_heads + kv_head];
    const size_t n = head.keys.size();
    if (sequence.n_tokens() != n) return false;
    const KvView view = sequence.view(layer, kv_head);
    std::vector<float> k(config_.key_dim);
    std::vector<float> v(config_.value_dim);
    for (size_t t = config_.window == 0 ? 0 : n - std::min(n, config_.window - 1); t < n; ++t) {
      const std::byte* k_tile = view.k_tile(t / kTileTokens);
      read_k(view.k_type, k_tile, t % kTileTokens, k.data(), config_.key_dim);
      if (!same_bits(k, head.keys[t])) return false;
      const std::byte* v_tile = k_tile + k_tile_bytes(config_.k_type, config_.key_dim);
      read_v(view.v_type, v_tile, t % kTileTokens, v.data(), config_.value_dim);
      if (!same_bits(v, head.values[t])) return false;
    }
    for (size_t i = 0; i < sequence.n_summaries(); ++i) {
      if (!summary_matches(sequence.summary(layer, kv_head, i), head.keys)) return false;
    }
    return true;
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
    std::vector<std::byte> tile(k_tile_bytes(config_.k_type, config_.key_dim));
    std::vector<float> row(config_.key_dim);
    write_k(config_.k_type, tile.data(), 5, k, config_.key_dim);
    read_k(config_.k_type, tile.data(), 5, row.data(), config_.key_dim);
    return row;
  }

  std::vector<float> round_trip_v(const float* v) const {
    std::vector<std::byte> tile(v_tile_bytes(config_.v_type, config_.value_dim));
    std::vector<float> row(config_.value_dim);
    write_v(config_.v_type, tile.data(), 5, v, config_.value_dim);
    read_v(config_.v_type, tile.data(), 5, row.data(), config_.value_dim);
    return row;
  }

  // Compares with what one change of all keys sets in fresh groups.
  bool summary_matches(const SummaryView& view, const Rows& keys) const {
    if (view.n_tokens != keys.size()) return false;
    if (keys.empty()) return true;
    const size_t n_bytes = view.summary->spec().group_bytes;
    const size_t group_tokens = config_.page_tokens();
    const size_t n_groups = (keys.size() + group_tokens - 1) / group_tokens;
    std::vector<std::byte> expected(n_groups * n_bytes);
    const auto read_key = [&](size_t pos, float* key) {
      std::copy_n(keys[pos].data(), config_.key_dim, key);
    };
    const auto group = [&](size_t block) { return &expected[block / kGroupBlocks * n_bytes]; };
    view.summary->update({.layer = view.layer,
                          .kv_head = view.kv_head,
                          .block_size = config_.block_size,
                          .first = 0,
                          .end = keys.size(),
                          .n_tokens = keys.size(),
                          .read_key = read_key,
                          .group = group});
    for (size_t g = 0; g < n_groups; ++g) {
      const std::byte* from = view.base + view.pages[g] * view.page_stride;
      std::vector<std::byte> found(from, from + n_bytes);
      const size_t n_used = std::min(group_tokens, keys.size() - g * group_tokens);
      view.summary->blank(found.data(), n_used, config_.block_size);
      view.summary->blank(&expected[g * n_bytes], n_used, config_.block_size);
      if (std::memcmp(found.data(), &expected[g * n_bytes], n_bytes) != 0) return false;
    }
    return true;
  }

  CacheConfig config_;
  std::vector<Head> heads_;
};

}  // namespace longhaul
