#include "kernels/attention.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "hwy/highway.h"
#include "kernels/attention_int8.h"
#include "kernels/attention_kernel.h"
#include "kernels/reference/attention.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

constexpr float kSentinel = -12345.0F;

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

std::vector<TileRef> every_tile(size_t n_tokens) {
  std::vector<TileRef> tiles;
  for (size_t t = 0; t * 16 < n_tokens; ++t) tiles.push_back({static_cast<uint32_t>(t), 0xFFFF});
  return tiles;
}

using attention::Int8Kernels;

// In 8-bit integers with the kernels given, or in f32.
void run(std::span<const AttentionJob> jobs, size_t n_threads, const Int8Kernels* int8) {
  ThreadPool pool(n_threads);
  AttentionWorkspace workspace = attention::workspace_with(int8);
  attend(pool, jobs, workspace);
}

void run(const AttentionJob& job, size_t n_threads, const Int8Kernels* int8) {
  run({&job, 1}, n_threads, int8);
}

// Calls `body` for every SIMD target of this CPU, with its kernels for 8-bit integers and with null
// for f32, then for those with VNNI.
void for_each_kernel(const std::function<void(const Int8Kernels* int8)>& body) {
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
double f32_tolerance(const Case& c) {
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

Errors errors_of(const std::vector<float>& got, const std::vector<float>& want) {
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
void expect_close(Case c) {
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
constexpr Types kTypes[] = {{KvType::kF16, KvType::kF16},
                            {KvType::kQ8_0, KvType::kQ8_0},
                            {KvType::kF16, KvType::kQ8_0},
                            {KvType::kQ8_0, KvType::kF16}};

TEST(Attention, AgreesWithTheReference) {
  unsigned seed = 1;
  for (const Types types : kTypes) {
    for (const size_t head_dim : {32, 64, 96, 128, 256}) {
      const Cache cache(types.k, types.v, head_dim, 171, ++seed, 2.0F);
      for (const uint32_t pos : {0U, 15U, 16U, 63U, 64U, 170U}) {
        ++seed;
        expect_close(Case(cache, 1, 1 + seed % 7, pos, seed));
      }
      expect_close(Case(cache, 19, 1 + seed % 4, 171 - 19, seed));
    }
  }
}

TEST(Attention, AgreesWithTheReferenceWhereValuesHaveAWidthOfTheirOwn) {
  unsigned seed = 70;
  for (const Types types : kTypes) {
    for (const Dims dims : {Dims(64, 128), Dims(128, 64), Dims(32, 256), Dims(256, 96)}) {
      const Cache cache(types.k, types.v, dims, 171, ++seed, 2.0F);
      for (const uint32_t pos : {0U, 63U, 170U}) {
        ++seed;
        expect_close(Case(cache, 1, 1 + seed % 7, pos, seed));
      }
      expect_close(Case(cache, 19, 1 + seed % 4, 171 - 19, seed));
    }
  }
}

TEST(Attention, AgreesWithTheReferenceForEveryGroupSize) {
  for (const size_t head_dim : {64, 128}) {
    const Cache cache(KvType::kQ8_0, KvType::kQ8_0, head_dim, 130, 40);
    for (size_t n_group = 1; n_group <= 17; ++n_group) {
      expect_close(Case(cache, 2, n_group, 128, 41));
    }
  }
}

TEST(Attention, AgreesWithTheReferenceOnLists) {
  for (const Types types : kTypes) {
    const Cache cache(types.k, types.v, 64, 600, 5);
    const std::vector<TileRef> tiles = {{0, 0xFFFF}, {3, 0x00FF}, {4, 0xF0F0},  {7, 0xFFFF},
                                        {8, 0x0001}, {20, 0},     {36, 0xFFFF}, {37, 0xFFFF}};
    for (const size_t n_group : {1, 7}) {
      Case c(cache, 1, n_group, 599, 6);
      c.job.all_tiles = false;
      c.job.tiles = tiles;
      expect_close(c);
      Case chunk(cache, 40, n_group, 40, 7);  // most of the list lies in the future
      chunk.job.all_tiles = false;
      chunk.job.tiles = tiles;
      expect_close(chunk);
    }
  }
}

TEST(Attention, AgreesWithTheReferenceOverSegments) {
  const Cache cache(KvType::kQ8_0, KvType::kQ8_0, 32, 5 * 4096 + 20, 42);
  expect_close(Case(cache, 1, 2, 2 * 4096 + 17, 43));
  std::mt19937 rng(48);
  std::vector<TileRef> tiles;
  for (const TileRef& tile : every_tile(cache.n_tokens)) {
    if (rng() % 7 == 0) tiles.push_back(tile);
  }
  Case c(cache, 2, 2, 5 * 4096 + 17, 43);
  c.job.all_tiles = false;
  c.job.tiles = tiles;
  expect_close(c);
}

// Around the borders of tiles, groups and segments; rows see less than, or more than, a chunk.
constexpr size_t kWindows[] = {1, 15, 16, 17, 63, 64, 65, 200, 2047, 2048, 2049};

// Every third tile or so, some of them in part.
std::vector<TileRef> some_tiles(size_t n_tokens, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<TileRef> tiles;
  for (TileRef tile : every_tile(n_tokens)) {
    if (rng() % 3 != 0) continue;
    if (rng() % 4 == 0) tile.mask = static_cast<uint16_t>(rng());
    tiles.push_back(tile);
  }
  return tiles;
}

TEST(Attention, AgreesWithTheReferenceInAWindow) {
  for (const Types types : kTypes) {
    const Cache cache(types.k, types.v, Dims(32, 64), 2200, 50, 2.0F);
    const auto tiles = some_tiles(2200, 51);
    for (const size_t window : kWindows) {
      for (const bool listed : {false, true}) {
        for (const size_t n_rows : {1, 23}) {
          Case c(cache, n_rows, 3, static_cast<uint32_t>(2190 - n_rows), 52);
          c.job.window = window;
          c.job.all_tiles = !listed;
          if (listed) c.job.tiles = tiles;
          expect_close(c);
        }
      }
    }
  }
}

// Sums of the largest bytes: 127 times 255 overflows what x86 adds up in 16 bits.
TEST(Attention, AgreesWithTheReferenceOnTheLargestIntegers) {
  for (const float sign : {-1.0F, 1.0F}) {
    Cache cache(KvType::kQ8_0, KvType::kQ8_0, 64, 130, 44);
    const std::vector<float> x(64, sign);
    for (size_t t = 0; t < 130; ++t) {
      write_k(cache.k_type, cache.k_tile(t / 16), t % 16, x.data(), 64);
      write_v(cache.v_type, cache.v_tile(t / 16), t % 16, x.data(), 64);
    }
    cache.v_max = 1.0F;
    for (const size_t n_group : {1, 2, 3, 7}) {
      Case c(cache, 1, n_group, 127, 45);
      std::fill(c.q.begin(), c.q.end(), 1.0F);
      expect_close(c);
    }
  }
}

// K and V of 1024 tokens in f32, and one query: how wide its scores spread, and whether half of its
// attention goes to a first token whose value is small, as trained models do.
struct Plain {
  static constexpr size_t kTokens = 1024;
  static constexpr size_t kDim = 64;
  std::vector<float> k, v, q;

  Plain(float spread, bool sink, unsigned seed) : k(kTokens * kDim), v(k.size()), q(kDim) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    for (float& e : k) e = normal(rng);
    for (float& e : v) e = normal(rng);
    for (float& e : q) e = normal(rng) * spread;
    if (!sink) return;
    for (size_t t = 0; t < kTokens; ++t) k[t * kDim] = t == 0 ? 14.0F : 0.0F;
    q[0] = 4.0F;  // a score of 7 = log(1024) for the first token
    for (size_t d = 0; d < kDim; ++d) v[d] *= 0.01F;
  }
  std::vector<double> attend() const {
    std::vector<double> out(kDim, 0.0);
    double l = 0;
    for (size_t t = 0; t < kTokens; ++t) {
      const double p =
          std::exp(std::inner_product(q.begin(), q.end(), &k[t * kDim], 0.0) / std::sqrt(kDim));
      l += p;
      for (size_t d = 0; d < kDim; ++d) out[d] += p * v[t * kDim + d];
    }
    for (double& x : out) x /= l;
    return out;
  }
};

// What rounding q and p to 8 bits adds is of the size of what storing K and V in 8 bits costs:
// docs/kv-arithmetic.md has the figures.
TEST(Attention, TheErrorOfInt8IsAtTheLevelOfTheCache) {
  for (const float spread : {0.3F, 1.0F, 2.0F, 4.0F}) {
    for (const bool sink : {false, true}) {
      double of_cache = 0;
      std::map<std::string, double> of_int8;  // by kernels and target
      for (unsigned seed = 0; seed < 16; ++seed) {
        const Plain plain(spread, sink, seed);
        Cache cache(KvType::kQ8_0, KvType::kQ8_0, Plain::kDim, Plain::kTokens, 1);
        for (size_t t = 0; t < Plain::kTokens; ++t) {
          write_k(cache.k_type, cache.k_tile(t / 16), t % 16, &plain.k[t * Plain::kDim],
                  Plain::kDim);
          write_v(cache.v_type, cache.v_tile(t / 16), t % 16, &plain.v[t * Plain::kDim],
                  Plain::kDim);
        }
        Case c(cache, 1, 1, Plain::kTokens - 1, 1);
        c.job.q = plain.q.data();
        const std::vector<double> want = plain.attend();
        reference::attend(c.job);
        const std::vector<float> of_bytes = c.out;
        for (size_t d = 0; d < Plain::kDim; ++d) of_cache += std::pow(of_bytes[d] - want[d], 2);
        for_each_kernel([&](const Int8Kernels* int8) {
          if (int8 == nullptr) return;
          run(c.job, 1, int8);
          double& sum = of_int8[int8->name];
          for (size_t d = 0; d < Plain::kDim; ++d) {
            sum += std::pow(double{c.out[d]} - of_bytes[d], 2);
          }
        });
      }
      for (const auto& [name, sum] : of_int8) {
        EXPECT_LE(std::sqrt(sum), 1.5 * std::sqrt(of_cache))
            << name << " " << spread << " " << sink;
      }
    }
  }
}

TEST(Attention, ARowInAChunkHasTheBitsOfTheRowAlone) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const Types types : kTypes) {
      const Cache cache(types.k, types.v, Dims(64, 96), 4096 + 150, 8, 3.0F);
      for (const size_t n_group : {1, 3, 7}) {
        for (const uint32_t first_pos : {0U, 50U, 4060U}) {
          if (first_pos > 1000 && n_group != 3) continue;
          Case chunk(cache, 90, n_group, first_pos, 9);
          run(chunk.job, 1, int8);
          std::vector<float> alone(chunk.job.out_stride);
          for (size_t r = 0; r<90; r += first_pos> 1000 ? 13 : 1) {
            run(chunk.row(r, alone.data()), 1, int8);
            ASSERT_EQ(std::memcmp(alone.data(), chunk.job.out + r * chunk.job.out_stride,
                                  n_group * 96 * sizeof(float)),
                      0)
                << "row " << r << " of " << first_pos;
          }
        }
      }
    }
  });
}

TEST(Attention, ARowInAChunkHasTheBitsOfTheRowAloneInAWindow) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const Types types : kTypes) {
      const Cache cache(types.k, types.v, 32, 8192 + 50, 53, 3.0F);
      const auto tiles = some_tiles(cache.n_tokens, 54);
      for (const bool listed : {false, true}) {
        for (const size_t window : kWindows) {
          Case chunk(cache, 60, 3, 8192 - 30, 55);
          chunk.job.window = window;
          chunk.job.all_tiles = !listed;
          if (listed) chunk.job.tiles = tiles;
          run(chunk.job, 1, int8);
          std::vector<float> alone(chunk.job.out_stride);
          for (size_t r = 0; r < 60; r += window < 100 ? 1 : 7) {
            run(chunk.row(r, alone.data()), 1, int8);
            ASSERT_EQ(std::memcmp(alone.data(), chunk.job.out + r * chunk.job.out_stride,
                                  3 * 32 * sizeof(float)),
                      0)
                << "row " << r << ", window " << window << (listed ? ", listed" : "");
          }
        }
      }
    }
  });
}

TEST(Attention, AWindowOfTheWholeTextHasTheBitsOfNone) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const Types types : kTypes) {
      const Cache cache(types.k, types.v, 64, 2100, 56);
      Case want(cache, 30, 2, 2060, 57);
      run(want.job, 1, int8);
      for (const size_t window : {size_t{2090}, size_t{2091}, ~size_t{0}}) {
        Case got(cache, 30, 2, 2060, 57);
        got.job.window = window;
        run(got.job, 2, int8);
        EXPECT_EQ(got.out, want.out);
      }
      Case less(cache, 30, 2, 2060, 57);  // the last row no longer sees the first token
      less.job.window = 2089;
      run(less.job, 1, int8);
      EXPECT_NE(less.out, want.out);
    }
  });
}

// A page table whose entries before the first one that a window needs cannot be read.
class GuardedTable {
 public:
  GuardedTable(const std::vector<uint32_t>& pages, size_t first) : n_os_(::getpagesize()) {
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, 2 * n_os_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    auto* readable = reinterpret_cast<uint32_t*>(memory_ + n_os_);
    std::copy(pages.begin() + static_cast<ptrdiff_t>(first), pages.end(), readable);
    table_ = readable - first;
    EXPECT_EQ(::mprotect(memory_, n_os_, PROT_NONE), 0);
  }
  ~GuardedTable() { ::munmap(memory_, 2 * n_os_); }
  GuardedTable(const GuardedTable&) = delete;
  GuardedTable& operator=(const GuardedTable&) = delete;
  const uint32_t* data() const { return table_; }

 private:
  size_t n_os_;
  std::byte* memory_;
  const uint32_t* table_;
};

TEST(Attention, TilesBeforeTheWindowAreNotTouched) {
  for (const Types types : kTypes) {
    Cache cache(types.k, types.v, Dims(64, 32), 2300, 58, 1.0F, 1);
    const auto tiles = some_tiles(2300, 59);
    for (const size_t window : {1 + 2048, 700, 65, 64, 40, 1}) {  // falling: more is poisoned
      for (const bool listed : {false, true}) {
        Case c(cache, 40, 3, 2250, 60);
        c.job.window = window;
        c.job.all_tiles = !listed;
        if (listed) c.job.tiles = tiles;
        std::vector<std::vector<float>> want;
        for_each_kernel([&](const Int8Kernels* int8) {
          run(c.job, 1, int8);
          want.push_back(c.out);
        });
        const size_t first_tile = (2250 - window + 1) / kTileTokens;
        for (size_t t = 0; t < first_tile; ++t) {
          std::memset(cache.k_tile(t), 0xFF, k_tile_bytes(types.k, 64));
          std::memset(cache.v_tile(t), 0xFF, v_tile_bytes(types.v, 32));
        }
        const GuardedTable table(cache.pages, first_tile);
        c.job.kv.pages = table.data();
        size_t i = 0;
        for_each_kernel([&](const Int8Kernels* int8) {
          run(c.job, 2, int8);
          EXPECT_EQ(c.out, want[i++]) << window;
        });
      }
    }
  }
}

// Their groups are the same, but a list has longer segments: beyond the first of all_tiles the
// states merge in another order.
TEST(Attention, AListOfEveryTileHasTheBitsOfAllTilesInTheirFirstSegment) {
  for_each_kernel([](const Int8Kernels* int8) {
    const Cache cache(KvType::kQ8_0, KvType::kQ8_0, 64, 4096 + 333, 10);
    const auto tiles = every_tile(cache.n_tokens);
    for (const uint32_t pos : {0U, 100U, 2047U, 4428U}) {
      Case a(cache, 1, 7, pos, 11);
      Case b(cache, 1, 7, pos, 11);
      b.job.all_tiles = false;
      b.job.tiles = tiles;
      run(a.job, 1, int8);
      run(b.job, 2, int8);
      if (pos < kSegmentTiles * kTileTokens) {
        EXPECT_EQ(a.out, b.out);
      } else {
        EXPECT_LE(errors_of(b.out, a.out).worst, f32_tolerance(a));
      }
    }
  });
}

// Whether tiles before a border of a segment are listed changes nothing in the states behind it:
// where those before weigh nothing, the row has the bits it has without them.
TEST(Attention, AListIsCutAtFixedPositionsOfTheText) {
  constexpr size_t kSegmentTokens = kListSegmentTiles * kTileTokens;
  Cache cache(KvType::kQ8_0, KvType::kQ8_0, 32, kSegmentTokens + 400, 46);
  const std::vector<float> low(32, -200.0F);
  std::vector<TileRef> tiles;
  for (uint32_t t = 0; t < 9; ++t) {
    for (size_t slot = 0; slot < 16; ++slot) {
      write_k(cache.k_type, cache.k_tile(t * 3), slot, low.data(), 32);
    }
    tiles.push_back({t * 3, 0xFFFF});
  }
  for (uint32_t t = kListSegmentTiles; t < kListSegmentTiles + 25; t += 1 + t % 3) {
    tiles.push_back({t, 0xFFFF});
  }
  Case c(cache, 1, 3, kSegmentTokens + 390, 47);
  std::fill(c.q.begin(), c.q.end(), 1.0F);
  c.job.all_tiles = false;
  for_each_kernel([&](const Int8Kernels* int8) {
    c.job.tiles = std::span(tiles).subspan(9);
    run(c.job, 1, int8);
    const std::vector<float> want = c.out;
    for (size_t first = 0; first < 9; ++first) {
      c.job.tiles = std::span(tiles).subspan(first);
      run(c.job, 1, int8);
      EXPECT_EQ(c.out, want) << first;
    }
  });
}

TEST(Attention, ThreadsAndOtherJobsDoNotChangeBits) {
  const Cache cache(KvType::kQ8_0, KvType::kQ8_0, 64, 3 * 4096 + 77, 12);
  const Cache other(KvType::kF16, KvType::kQ8_0, Dims(128, 160), 300, 13);
  const Int8Kernels* int8 = attention::best_int8_kernels();
  Case want(cache, 30, 7, 3 * 4096 + 40, 14);
  run(want.job, 1, int8);
  for (const size_t n_threads : {1, 2, 3, 5}) {
    for (const size_t n_others : {0, 1, 40}) {
      Case got(cache, 30, 7, 3 * 4096 + 40, 14);
      std::vector<Case> others(n_others, Case(other, 2, 3, 200, 15));
      std::vector<AttentionJob> jobs;
      for (Case& c : others) {
        c.job.q = c.q.data();
        c.job.out = c.out.data();
        jobs.push_back(c.job);
      }
      jobs.insert(jobs.begin() + static_cast<ptrdiff_t>(n_others / 2), got.job);
      run(jobs, n_threads, int8);
      EXPECT_EQ(got.out, want.out);
      for (const Case& c : others) EXPECT_EQ(c.out, others[0].out);
    }
  }
}

TEST(Attention, AWorkspaceIsReusedWithoutATrace) {
  const Cache big(KvType::kQ8_0, KvType::kQ8_0, 128, 5000, 16);
  const Cache small(KvType::kQ8_0, KvType::kF16, 32, 40, 17);
  ThreadPool pool(2);
  AttentionWorkspace workspace;
  Case first(small, 3, 2, 30, 18);
  attend(pool, {&first.job, 1}, workspace);
  Case between(big, 20, 4, 4900, 19);
  attend(pool, {&between.job, 1}, workspace);
  Case again(small, 3, 2, 30, 18);
  attend(pool, {&again.job, 1}, workspace);
  EXPECT_EQ(first.out, again.out);
  attend(pool, {}, workspace);
}

TEST(Attention, PagesAndUnwrittenTokensDoNotMatter) {
  Cache a(KvType::kQ8_0, KvType::kF16, 64, 100, 20);
  Cache b = Cache(KvType::kQ8_0, KvType::kF16, 64, 100, 20);
  std::memset(b.tiles.data(), 0, b.tiles.size());
  b.pages = {1, 0};
  for (size_t t = 0; t < 7;
       ++t) {  // same tokens, other pages, other bytes where nothing was written
    std::vector<float> x(64);
    for (size_t slot = 0; slot < 16 && t * 16 + slot < 100; ++slot) {
      read_k(a.k_type, a.k_tile(t), slot, x.data(), 64);
      write_k(b.k_type, b.k_tile(t), slot, x.data(), 64);
      read_v(a.v_type, a.v_tile(t), slot, x.data(), 64);
      write_v(b.v_type, b.v_tile(t), slot, x.data(), 64);
    }
  }
  for_each_kernel([&](const Int8Kernels* int8) {
    Case ca(a, 5, 7, 95, 21);
    Case cb(b, 5, 7, 95, 21);
    run(ca.job, 1, int8);
    run(cb.job, 1, int8);
    EXPECT_EQ(ca.out, cb.out);
  });
}

TEST(Attention, ARowWithoutTokensGetsZeros) {
  const Cache cache(KvType::kQ8_0, KvType::kQ8_0, 32, 64, 22);
  const std::vector<TileRef> tiles = {{2, 0xFFFF}};
  for_each_kernel([&](const Int8Kernels* int8) {
    for (const size_t n_tiles : {0, 1}) {
      Case c(cache, 3, 2, 10, 23);
      c.job.all_tiles = false;
      c.job.tiles = std::span(tiles).first(n_tiles);
      run(c.job, 2, int8);
      for (size_t r = 0; r < 3; ++r) {
        for (size_t i = 0; i < 64; ++i) EXPECT_EQ(c.out[r * c.job.out_stride + i], 0.0F);
      }
    }
  });
}

TEST(Attention, NanKeysAreNotHidden) {
  for_each_kernel([](const Int8Kernels* int8) {
    for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
      Cache cache(type, type, 64, 100, 24);
      std::vector<float> x(64, std::numeric_limits<float>::quiet_NaN());
      write_k(type, cache.k_tile(1), 2, x.data(), 64);
      Case c(cache, 1, 2, 99, 25);
      run(c.job, 1, int8);
      EXPECT_TRUE(std::isnan(c.out[0]));
      Case before(cache, 1, 2, 17, 25);
      run(before.job, 1, int8);
      EXPECT_FALSE(std::isnan(before.out[0]));
    }
  });
}

TEST(MergeStates, EmptyIsNeutralAndTheResultIsTheSoftmaxOfTheUnion) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  struct One {
    float m, l, o[2];
    attention::States states() { return {&m, &l, o}; }
  };
  One total{-kInf, 0, {0, 0}};
  One empty{-kInf, 0, {0, 0}};
  One a{3, 1.5F, {0.25F, -1}};
  One b{5, 1.25F, {2, 0.5F}};
  attention::merge_states(total.states(), empty.states(), 1, 2);
  EXPECT_EQ(total.m, -kInf);
  attention::merge_states(total.states(), a.states(), 1, 2);
  EXPECT_EQ(std::memcmp(&total, &a, sizeof(One)), 0);
  attention::merge_states(total.states(), empty.states(), 1, 2);
  EXPECT_EQ(std::memcmp(&total, &a, sizeof(One)), 0);
  attention::merge_states(total.states(), b.states(), 1, 2);
  EXPECT_EQ(total.m, 5);
  EXPECT_EQ(total.l, 1.5F * 0.25F + 1.25F);
  EXPECT_EQ(total.o[0], 0.25F * 0.25F + 2);
  EXPECT_EQ(total.o[1], -0.25F + 0.5F);
}

void expect_masses(size_t window) {
  const Cache cache(KvType::kQ8_0, KvType::kQ8_0, Dims(64, 96), 1000, 26);
  Case c(cache, 1, 3, 900, 27);
  c.job.window = window;
  for (const size_t block_size : {8, 16, 32, 48}) {
    const size_t n_blocks = 900 / block_size + 1;
    std::vector<double> want(n_blocks);
    std::vector<float> key(64);
    for (size_t h = 0; h < 3; ++h) {
      std::vector<double> mass(n_blocks);
      double sum = 0;
      for (size_t t = window == 0 ? 0 : 901 - window; t <= 900; ++t) {
        read_k(cache.k_type, const_cast<Cache&>(cache).k_tile(t / 16), t % 16, key.data(), 64);
        const double dot = std::inner_product(key.begin(), key.end(), &c.q[h * 64], 0.0);
        const double p = std::exp(dot * double{c.job.scale});
        mass[t / block_size] += p;
        sum += p;
      }
      for (size_t b = 0; b < n_blocks; ++b) want[b] = std::max(want[b], mass[b] / sum);
    }
    std::vector<float> got(n_blocks + 1, kSentinel);
    AttentionWorkspace workspace;
    block_masses(c.job, block_size, n_blocks, got.data(), workspace);
    for (size_t b = 0; b < n_blocks; ++b) EXPECT_NEAR(got[b], want[b], 1e-4 * want[b] + 1e-7);
    EXPECT_EQ(got[n_blocks], kSentinel);
  }
}

TEST(BlockMasses, AreTheSoftmaxOfTheBlocks) { expect_masses(0); }

TEST(BlockMasses, AreThoseOfTheWindow) {
  expect_masses(1);
  expect_masses(77);
}

}  // namespace
}  // namespace longhaul
