#include "kernels/block_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "hwy/highway.h"
#include "kernels/kv_tile.h"
#include "kernels/reference/block_bounds.h"
#include "quant/half.h"

namespace longhaul {
namespace {

// The box around `count` keys.
struct Box {
  std::vector<float> lowest, highest;
  Box(const float* keys, size_t count, size_t head_dim)
      : lowest(keys, keys + head_dim), highest(lowest) {
    for (size_t i = head_dim; i < count * head_dim; ++i) {
      lowest[i % head_dim] = std::min(lowest[i % head_dim], keys[i]);
      highest[i % head_dim] = std::max(highest[i % head_dim], keys[i]);
    }
  }
};

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
    for (size_t i = 0; i < blocks; ++i) {
      const Box box(block_keys(i), size, dim);
      bounds_set(group(i), i % kBoundsGroupBlocks, box.lowest.data(), box.highest.data(), dim);
    }
  }
  const float* block_keys(size_t block) const { return &keys[block * block_size * head_dim]; }
  std::byte* group(size_t block) {
    return arena.data() + pages[block / kBoundsGroupBlocks] * stride();
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

// How far rounding q and adding in f32 may move a score: u / 2 per dimension of each 32, where u is
// their largest magnitude / 32767, and half an ulp of the sum of magnitudes for each of the few
// additions and products.
double score_error(const std::vector<float>& q, const std::vector<float>& magnitudes) {
  double error = 0.0;
  double sum = 0.0;
  for (size_t chunk = 0; chunk < q.size(); chunk += kScaleDims) {
    double largest = 0.0;
    double sum_k = 0.0;
    for (size_t d = chunk; d < chunk + kScaleDims; ++d) {
      largest = std::max<double>(largest, std::fabs(q[d]));
      sum_k += magnitudes[d];
      sum += std::fabs(q[d]) * magnitudes[d];
    }
    error += largest / 65534.0 * sum_k * (1.0 + 0x1p-10);
  }
  return error + sum * 0x1p-24 * (4.0 + static_cast<double>(q.size() / kScaleDims));
}

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
        q[17] = 30.0F;
        std::vector<float> scores(n_blocks + 8, -7.0F);
        score_blocks(blocks.view(), q.data(), scores.data());
        for (size_t b = 0; b < n_blocks; ++b) {
          double highest = -1e30;
          std::vector<float> magnitudes(head_dim);
          for (size_t t = 0; t < 16; ++t) {
            const float* key = blocks.block_keys(b) + t * head_dim;
            highest = std::max(highest, std::inner_product(q.begin(), q.end(), key, 0.0));
            for (size_t d = 0; d < head_dim; ++d) {
              magnitudes[d] = std::max(magnitudes[d], std::fabs(key[d]));
            }
          }
          EXPECT_GE(scores[b], highest - score_error(q, magnitudes));
          const double want = reference::block_score(blocks.view(), b, q.data());
          for (float& magnitude : magnitudes) magnitude += 1.0F;  // a bound is up to a step wider
          EXPECT_NEAR(scores[b], want, score_error(q, magnitudes));
        }
        for (size_t i = n_blocks; i < scores.size(); ++i) EXPECT_EQ(scores[i], -7.0F);
      }
    }
  }
}

// A score is finite whatever the query, so that top_k has an order to go by.
TEST_P(BlockKernels, QueriesThatAreNotFiniteCountAsZero) {
  const Blocks blocks(KvType::kF16, 64, 20, 16, 1);
  std::vector<float> scores(20);
  for (const float odd :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e-42F}) {
    std::vector<float> q(64, 0.0F);
    q[3] = odd;
    q[40] = 1.0F;
    score_blocks(blocks.view(), q.data(), scores.data());
    std::vector<float> rest(q);
    rest[3] = 0.0F;
    for (size_t b = 0; b < 20; ++b) {
      EXPECT_NEAR(scores[b], reference::block_score(blocks.view(), b, rest.data()), 1e-4);
    }
  }
}

// Boxes of many magnitudes, some with numbers that are multiples of a half times a scale.
Box random_box(size_t head_dim, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> keys(2 * head_dim);
  const int exponent = static_cast<int>(rng() % 30) - 24;
  const float unit = f16_to_f32(static_cast<uint16_t>(0x2000U + rng() % 0x2000U));
  for (float& x : keys) {
    const uint32_t kind = rng() % 4;
    x = kind == 0   ? static_cast<float>(static_cast<int>(rng() % 255) - 127) * unit
        : kind == 1 ? 0.0F
                    : std::ldexp(normal(rng), exponent);
  }
  if (rng() % 8 == 0) keys[rng() % keys.size()] = 65504.0F;
  return Box(keys.data(), 2, head_dim);
}

void expect_steps(const std::byte* group, size_t lane, const Box& box, size_t head_dim) {
  std::vector<float> lowest(head_dim);
  std::vector<float> highest(head_dim);
  bounds_read(group, lane, lowest.data(), highest.data(), head_dim);
  for (size_t chunk = 0; chunk < head_dim; chunk += kScaleDims) {
    const auto want = reference::bound_steps(&box.lowest[chunk], &box.highest[chunk]);
    const float scale = f16_to_f32(want.scale);
    for (size_t i = 0; i < kScaleDims; ++i) {
      ASSERT_LE(lowest[chunk + i], box.lowest[chunk + i]);
      ASSERT_GE(highest[chunk + i], box.highest[chunk + i]);
      ASSERT_EQ(lowest[chunk + i], static_cast<float>(want.min[i]) * scale);
      ASSERT_EQ(highest[chunk + i], static_cast<float>(want.max[i]) * scale);
    }
  }
}

TEST_P(BlockKernels, BoundsAreTheTightestThatHold) {
  std::mt19937 rng(7);
  for (const size_t head_dim : {32, 64, 96, 128, 256}) {
    std::vector<std::byte> group(bounds_group_bytes(head_dim));
    for (int i = 0; i < 200; ++i) {
      const Box box = random_box(head_dim, rng);
      const size_t lane = rng() % kBoundsGroupBlocks;
      const std::vector<std::byte> before = group;
      bounds_set(group.data(), lane, box.lowest.data(), box.highest.data(), head_dim);
      expect_steps(group.data(), lane, box, head_dim);
      std::vector<float> a(2 * head_dim);
      std::vector<float> b(2 * head_dim);
      const size_t other = (lane + 1 + rng() % 15) % kBoundsGroupBlocks;
      bounds_read(group.data(), other, a.data(), a.data() + head_dim, head_dim);
      bounds_read(before.data(), other, b.data(), b.data() + head_dim, head_dim);
      ASSERT_EQ(a, b);
    }
  }
}

// Merging is setting the box of both, or refusing because a scale would grow.
TEST_P(BlockKernels, MergingEqualsSettingAnew) {
  std::mt19937 rng(8);
  size_t n_merged = 0;
  for (const size_t head_dim : {32, 64, 96, 128}) {
    for (int i = 0; i < 400; ++i) {
      Box box = random_box(head_dim, rng);
      const Box more = random_box(head_dim, rng);
      std::vector<std::byte> merged(bounds_group_bytes(head_dim));
      std::vector<std::byte> anew = merged;
      bounds_set(merged.data(), 5, box.lowest.data(), box.highest.data(), head_dim);
      bool grows = false;
      for (size_t d = 0; d < head_dim; d += kScaleDims) {
        grows |= reference::bound_steps(&more.lowest[d], &more.highest[d]).scale >
                 reference::bound_steps(&box.lowest[d], &box.highest[d]).scale;
      }
      const std::vector<std::byte> before = merged;
      const bool fits =
          bounds_merge(merged.data(), 5, more.lowest.data(), more.highest.data(), head_dim);
      ASSERT_EQ(fits, !grows);
      if (!fits) {
        ASSERT_EQ(merged, before);
        continue;
      }
      ++n_merged;
      for (size_t d = 0; d < head_dim; ++d) {
        box.lowest[d] = std::min(box.lowest[d], more.lowest[d]);
        box.highest[d] = std::max(box.highest[d], more.highest[d]);
      }
      bounds_set(anew.data(), 5, box.lowest.data(), box.highest.data(), head_dim);
      ASSERT_EQ(merged, anew);
    }
  }
  EXPECT_GT(n_merged, 100U);
}

TEST_P(BlockKernels, KeysBeyondEveryHalfGiveFiniteBounds) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> lowest(32, -kInfinity);
  std::vector<float> highest(32, 1.0F);
  highest[1] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::byte> group(bounds_group_bytes(32));
  bounds_set(group.data(), 0, lowest.data(), highest.data(), 32);
  bounds_read(group.data(), 0, lowest.data(), highest.data(), 32);
  EXPECT_EQ(lowest[0], -127.0F * 65504.0F);
  EXPECT_EQ(highest[0], 65504.0F);
  EXPECT_TRUE(std::isfinite(highest[1]));
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
    for (const int kind : {0, 1, 2, 3, 4}) {
      std::vector<float> scores(n);
      for (size_t i = 0; i < n; ++i) {
        float& s = scores[i];
        s = normal(rng);
        if (kind == 1) s = std::round(s / 50.0F);  // many ties, both zeros
        if (kind == 2) s = 1000.0F + s * 1e-4F;    // close together
        if (kind == 3) s = std::exp(s) * 1e-20F;   // far apart, infinities
        if (kind == 4 && i % 64 == 0) s += 1e4F;   // an even sample of them misleads
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
