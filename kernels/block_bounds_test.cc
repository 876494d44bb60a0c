#include "kernels/block_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "hwy/highway.h"
#include "kernels/kv_tile.h"

namespace longhaul {
namespace {

// Keys of n_blocks blocks of block_size tokens as read back from tiles, and their descriptors on
// permuted pages.
struct Blocks {
  size_t head_dim, n_blocks, block_size;
  std::vector<float> keys;  // [n_blocks * block_size, head_dim]
  std::vector<std::byte> arena;
  std::vector<uint32_t> pages;

  Blocks(KvType type, size_t dim, size_t blocks, size_t size, unsigned seed)
      : head_dim(dim), n_blocks(blocks), block_size(size), keys(blocks * size * dim) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    std::vector<std::byte> tile(k_tile_bytes(type, dim));
    for (size_t t = 0; t < blocks * size; ++t) {
      float* key = &keys[t * dim];
      for (size_t d = 0; d < dim; ++d) key[d] = normal(rng) + (d % 9 == 0 ? 20.0F : 0.0F);
      write_k(type, tile.data(), t % kTileTokens, key, dim);
      read_k(type, tile.data(), t % kTileTokens, key, dim);
    }
    const size_t n_groups = (blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
    arena.assign((n_groups + 2) * stride(), std::byte{0x7F});  // unused lanes hold NaN
    for (size_t g = 0; g < n_groups; ++g) pages.push_back(static_cast<uint32_t>(n_groups + 1 - g));
    for (size_t t = 0; t < blocks * size; ++t) {
      std::byte* group = arena.data() + pages[t / size / kBoundsGroupBlocks] * stride();
      const size_t lane = t / size % kBoundsGroupBlocks;
      (t % size == 0 ? bounds_set : bounds_merge)(group, lane, &keys[t * dim], dim);
    }
  }
  size_t stride() const { return bounds_group_bytes(head_dim) + 64; }
  BoundsView view() const { return {arena.data(), stride(), pages.data(), head_dim, n_blocks}; }
};

// Each test runs with every SIMD target of this CPU.
class BlockKernels : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }
  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, BlockKernels,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

TEST_P(BlockKernels, ScoreBoundsEveryTokenOfTheBlock) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    for (const size_t head_dim : {32, 64, 96, 128, 256}) {
      for (const size_t n_blocks : {1, 15, 16, 17, 50}) {
        const Blocks blocks(type, head_dim, n_blocks, 16, static_cast<unsigned>(n_blocks));
        std::vector<float> q(head_dim);
        for (float& e : q) e = normal(rng);
        q[5] = 0.0F;
        std::vector<float> scores(n_blocks + 8, -7.0F);
        score_blocks(blocks.view(), q.data(), scores.data());
        for (size_t b = 0; b < n_blocks; ++b) {
          double want = 0;  // from the keys themselves, without rounding the bounds
          double magnitude = 0;
          double highest = -1e30;
          for (size_t d = 0; d < head_dim; ++d) {
            double best = -1e30;
            for (size_t t = 0; t < 16; ++t) {
              best =
                  std::max<double>(best, double{q[d]} * blocks.keys[(b * 16 + t) * head_dim + d]);
            }
            want += best;
            magnitude += std::fabs(best);
          }
          for (size_t t = 0; t < 16; ++t) {
            highest = std::max(
                highest,
                std::inner_product(q.begin(), q.end(), &blocks.keys[(b * 16 + t) * head_dim], 0.0));
          }
          const double f32_error = magnitude * 0x1p-24 * static_cast<double>(head_dim);
          EXPECT_GE(scores[b], highest - f32_error);
          EXPECT_GE(scores[b], want - f32_error);
          EXPECT_LE(scores[b], want + f32_error + magnitude * 0x1p-10);  // one f16 step outward
        }
        for (size_t i = n_blocks; i < scores.size(); ++i) EXPECT_EQ(scores[i], -7.0F);
      }
    }
  }
}

TEST(Bounds, TheOrderOfKeysDoesNotChangeTheBits) {
  constexpr size_t kDim = 64;
  std::mt19937 rng(4);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> keys(16, std::vector<float>(kDim));
  for (auto& key : keys) {
    for (size_t d = 0; d < kDim; ++d) key[d] = d == 3 ? 0.0F : normal(rng);
  }
  keys[2][3] = -0.0F;
  std::vector<std::byte> a(bounds_group_bytes(kDim));
  std::vector<std::byte> b(bounds_group_bytes(kDim));
  for (size_t i = 0; i < 16; ++i) {
    (i == 0 ? bounds_set : bounds_merge)(a.data(), 9, keys[i].data(), kDim);
    (i == 0 ? bounds_set : bounds_merge)(b.data(), 9, keys[(i + 2) % 16].data(), kDim);
  }
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0);
}

// The definition, by a full sort.
std::vector<uint32_t> top_k_by_sort(const std::vector<float>& scores, size_t n_select) {
  std::vector<uint32_t> ids(scores.size());
  std::iota(ids.begin(), ids.end(), 0U);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  ids.resize(n_select);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST_P(BlockKernels, TopKAgreesWithAStableSort) {
  std::mt19937 rng(5);
  std::normal_distribution<float> normal(0.0F, 100.0F);
  for (const size_t n : {1, 2, 15, 16, 17, 100, 1000, 8192, 65536}) {
    for (const int kind : {0, 1, 2, 3}) {
      std::vector<float> scores(n);
      for (float& s : scores) {
        s = normal(rng);
        if (kind == 1) s = std::round(s / 50.0F);  // many ties, both zeros
        if (kind == 2) s = 1000.0F + s * 1e-4F;    // close together
        if (kind == 3) s = std::exp(s) * 1e-20F;   // far apart, infinities
      }
      scores[n / 3] = -std::numeric_limits<float>::infinity();
      scores[n / 2] = std::numeric_limits<float>::infinity();
      scores[n - 1] = std::numeric_limits<float>::infinity();
      for (const size_t k : {size_t{0}, size_t{1}, n / 10, n / 3, n - 1, n}) {
        std::vector<uint32_t> ids(k + 1, 77U);
        top_k(scores, k, ids.data());
        EXPECT_EQ(ids[k], 77U);
        ids.resize(k);
        EXPECT_EQ(ids, top_k_by_sort(scores, k)) << n << " " << kind << " " << k;
      }
    }
  }
}

TEST_P(BlockKernels, EqualScoresGoToTheLowerIndex) {
  const std::vector<float> scores(40, -0.0F);
  std::vector<uint32_t> ids(3);
  top_k(scores, 3, ids.data());
  EXPECT_EQ(ids, (std::vector<uint32_t>{0, 1, 2}));
}

}  // namespace
}  // namespace longhaul
