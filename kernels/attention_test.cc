#include "kernels/attention.h"

#include <limits>
#include <map>
#include <string>

#include "kernels/attention_test_cases.h"

namespace longhaul {
namespace {

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

}  // namespace
}  // namespace longhaul
