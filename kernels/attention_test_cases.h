// Caches, jobs and kernels for the tests of attention.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "hwy/highway.h"
#include "kernels/attention_int8.h"
#include "kernels/reference/attention.h"
#include "parallel/thread_pool.h"

namespace longhaul {

inline constexpr float kSentinel = -12345.0F;

// Numbers of a key and of a value.
struct Dims {
  size_t key, value;
  Dims(size_t both) : key(both), value(both) {}  // NOLINT(google-explicit-constructor)
  Dims(size_t of_key, size_t of_value) : key(of_key), value(of_value) {}
};

// Paged K and V of one (sequence, KV head) with random tokens, pages in a random order. Bytes of
// tokens that were never written are 0xFF: NaN as f16.
struct Cache {
  KvType k_type, v_type;
  Dims dims;
  size_t n_tokens;
  size_t tiles_per_page;
  std::vector<uint32_t> pages;
  AlignedBuffer<std::byte> tiles;
  float v_max = 0;  // the largest |v|

  Cache(KvType kt, KvType vt, Dims d, size_t tokens, unsigned seed, float spread = 1.0F,
        size_t page_tiles = 4)
      : k_type(kt), v_type(vt), dims(d), n_tokens(tokens), tiles_per_page(page_tiles) {
    const size_t n_pages = (tokens + 16 * page_tiles - 1) / (16 * page_tiles);
    pages.resize(n_pages);
    std::iota(pages.begin(), pages.end(), 0U);
    std::mt19937 rng(seed);
    std::shuffle(pages.begin(), pages.end(), rng);
    tiles = AlignedBuffer<std::byte>(n_pages * page_stride());
    std::memset(tiles.data(), 0xFF, tiles.size());
    std::normal_distribution<float> normal;
    std::vector<float> k(d.key);
    std::vector<float> v(d.value);
    for (size_t t = 0; t < tokens; ++t) {
      const float size = spread == 1.0F ? 1.0F : std::exp(normal(rng) * std::log(spread));
      for (float& e : k) e = normal(rng) * size;
      if (t == 3) k[1] = 40.0F;  // an outlier channel
      write_k(kt, k_tile(t / 16), t % 16, k.data(), d.key);
      for (float& e : v) {
        e = normal(rng) * size;
        v_max = std::max(v_max, std::fabs(e));
      }
      write_v(vt, v_tile(t / 16), t % 16, v.data(), d.value);
    }
  }
  size_t page_stride() const {
    return tiles_per_page * (k_tile_bytes(k_type, dims.key) + v_tile_bytes(v_type, dims.value)) +
           64;
  }
  std::byte* k_tile(size_t t) { return tiles.data() + (view().k_tile(t) - tiles.data()); }
  std::byte* v_tile(size_t t) { return k_tile(t) + k_tile_bytes(k_type, dims.key); }
  KvView view() const {
    return {tiles.data(), page_stride(), pages.data(), tiles_per_page,
            k_type,       v_type,        dims.key,     dims.value};
  }
};

// A job with its own queries and output; rows have 5 floats between them, which must stay
// untouched.
struct Case {
  AttentionJob job;
  std::vector<float> q, out;
  double v_max;

  Case(const Cache& cache, size_t n_rows, size_t n_group, uint32_t first_pos, unsigned seed)
      : v_max(cache.v_max) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    job.q_stride = n_group * cache.dims.key + 5;
    job.out_stride = n_group * cache.dims.value + 5;
    q.resize(n_rows * job.q_stride);
    for (float& e : q) e = normal(rng) * 2.0F;
    out.assign(n_rows * job.out_stride, kSentinel);
    job.kv = cache.view();
    job.q = q.data();
    job.out = out.data();
    job.n_rows = n_rows;
    job.n_group = n_group;
    job.first_pos = first_pos;
    job.scale = 1.0F / std::sqrt(static_cast<float>(cache.dims.key));
  }
  AttentionJob row(size_t r, float* to) const {
    AttentionJob one = job;
    one.q = job.q + r * job.q_stride;
    one.first_pos = job.first_pos + static_cast<uint32_t>(r);
    one.n_rows = 1;
    one.out = to;
    return one;
  }
};

inline std::vector<TileRef> every_tile(size_t n_tokens) {
  std::vector<TileRef> tiles;
  for (size_t t = 0; t * 16 < n_tokens; ++t) tiles.push_back({static_cast<uint32_t>(t), 0xFFFF});
  return tiles;
}

using attention::Int8Kernels;

// In 8-bit integers with the kernels given, or in f32.
inline void run(std::span<const AttentionJob> jobs, size_t n_threads, const Int8Kernels* int8) {
  ThreadPool pool(n_threads);
  AttentionWorkspace workspace = attention::workspace_with(int8);
  attend(pool, jobs, workspace);
}

inline void run(const AttentionJob& job, size_t n_threads, const Int8Kernels* int8) {
  run({&job, 1}, n_threads, int8);
}

// Calls `body` for every SIMD target of this CPU, with its kernels for 8-bit integers and with null
// for f32, then for those with VNNI.
inline void for_each_kernel(const std::function<void(const Int8Kernels* int8)>& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    body(nullptr);
    if (const Int8Kernels* int8 = attention::simd_int8_kernels()) {
      SCOPED_TRACE("int8");
      body(int8);
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  for (const Int8Kernels* vnni :
       {attention::avx512_vnni_int8_kernels(), attention::avx_vnni_int8_kernels()}) {
    if (vnni == nullptr) continue;
    SCOPED_TRACE(vnni->name);
    body(vnni);
  }
}

// The largest error of one query's output that f32 arithmetic allows against exact arithmetic: each
// score is off by at most key_dim roundings of its terms, 2^s by as much relatively, and the sums
// by their own roundings.
inline double f32_tolerance(const Case& c) {
  double q_max = 0;
  for (const float e : c.q) q_max = std::max<double>(q_max, std::fabs(e));
  const double dim = static_cast<double>(c.job.kv.key_dim);
  const double largest = 45.0;  // of |k| and |v| in these tests, outlier included
  const double terms = dim * q_max * largest * c.job.scale;
  const double score_error = terms * 0x1p-24 * std::sqrt(dim);
  return (2 * score_error + 0x1p-22) * largest / 8;  // means of v stay well below the outlier
}

struct Errors {
  double worst = 0;
  double rms = 0;
};

inline Errors errors_of(const std::vector<float>& got, const std::vector<float>& want) {
  Errors errors;
  size_t n = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i] == kSentinel) {
      EXPECT_EQ(got[i], kSentinel) << "written outside the row, at " << i;
      continue;
    }
    EXPECT_FALSE(std::isnan(got[i])) << i;
    const double error = std::fabs(double{got[i]} - want[i]);
    errors.worst = std::max(errors.worst, error);
    errors.rms += error * error;
    ++n;
  }
  errors.rms = std::sqrt(errors.rms / static_cast<double>(n));
  return errors;
}

// Runs the case on every kernel and compares with the reference of its arithmetic. In int8 a p that
// lies between two integers but for an error of f32 may go either way: seldom, and a step is worth
// at most 17 / 16 / 255 of the largest |v|.
inline void expect_close(Case c) {
  c.job.q = c.q.data();
  c.job.out = c.out.data();
  reference::attend(c.job);
  const std::vector<float> exact = c.out;
  reference::attend_int8(c.job);
  const std::vector<float> rounded = c.out;
  const double step = 17.0 / 16 / 255 * c.v_max;
  for_each_kernel([&](const Int8Kernels* int8) {
    std::fill(c.out.begin(), c.out.end(), kSentinel);
    run(c.job, 1, int8);
    const Errors errors = errors_of(c.out, int8 != nullptr ? rounded : exact);
    EXPECT_LE(errors.worst, int8 != nullptr ? 2 * step : f32_tolerance(c));
    EXPECT_LE(errors.rms, int8 != nullptr ? step / 100 : f32_tolerance(c));
  });
}

struct Types {
  KvType k, v;
};
inline constexpr Types kTypes[] = {{KvType::kF16, KvType::kF16},
                                   {KvType::kQ8_0, KvType::kQ8_0},
                                   {KvType::kF16, KvType::kQ8_0},
                                   {KvType::kQ8_0, KvType::kF16}};

// Every third tile or so, some of them in part.
inline std::vector<TileRef> some_tiles(size_t n_tokens, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<TileRef> tiles;
  for (TileRef tile : every_tile(n_tokens)) {
    if (rng() % 3 != 0) continue;
    if (rng() % 4 == 0) tile.mask = static_cast<uint16_t>(rng());
    tiles.push_back(tile);
  }
  return tiles;
}

}  // namespace longhaul
