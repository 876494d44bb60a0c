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

// How far rounding q and adding in f32 may move the score of a box: u / 2 per dimension of each 32,
// where u is their largest magnitude / 127, and half an ulp of the sum of magnitudes for each of
// the additions (of origin, offset and radius of each 32 dimensions, and of vector lanes) and
// products.
double score_error(const std::vector<float>& q, const reference::BlockBox& box) {
  double error = 0.0;
  double sum = 0.0;
  for (size_t chunk = 0; chunk < q.size(); chunk += kScaleDims) {
    double largest = 0.0;
    double sum_k = 0.0;
    for (size_t d = chunk; d < chunk + kScaleDims; ++d) {
      largest = std::max<double>(largest, std::fabs(q[d]));
      sum_k += std::max(std::fabs(box.lowest(d)), std::fabs(box.highest(d)));
      sum +=
          std::fabs(q[d]) * (std::fabs(box.origin[d]) + std::fabs(box.offset[d]) + box.radius[d]);
    }
    error += largest / 254.0 * sum_k * (1.0 + 0x1p-10);
  }
  return error + sum * 0x1p-24 * (8.0 + 3.0 * static_cast<double>(q.size() / kScaleDims));
}

TEST_P(BlockKernels, ScoreBoundsEveryTokenOfTheBlock) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    for (const size_t head_dim : {32, 64, 96, 128, 256}) {
      for (const size_t n_blocks : {1, 15, 16, 17, 50}) {
        Blocks blocks(type, head_dim, n_blocks, 16, static_cast<unsigned>(n_blocks));
        std::vector<float> q(head_dim);
        for (float& e : q) e = normal(rng);
        q[5] = 0.0F;
        q[17] = 30.0F;
        std::vector<float> scores(n_blocks + 8, -7.0F);
        score_blocks(blocks.view(), q.data(), scores.data());
        for (size_t b = 0; b < n_blocks; ++b) {
          double highest = -1e30;
          for (size_t t = 0; t < 16; ++t) {
            const float* key = blocks.block_keys(b) + t * head_dim;
            highest = std::max(highest, std::inner_product(q.begin(), q.end(), key, 0.0));
          }
          const double error = score_error(
              q, reference::block_box(blocks.group(b), b % kBoundsGroupBlocks, head_dim));
          EXPECT_GE(scores[b], highest - error);
          EXPECT_NEAR(scores[b], reference::block_score(blocks.view(), b, q.data()), error);
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

// The least half with which n steps reach x.
double least_step(double x, double n) {
  uint16_t half = 0;
  while (n * f16_to_f32(half) < x) ++half;
  return f16_to_f32(half);
}

// The keys' box lies in the one kept, which is wider by the rounding of centre and radius alone.
void expect_holds(const std::byte* group, size_t lane, const Box& box, size_t head_dim) {
  const reference::BlockBox kept = reference::block_box(group, lane, head_dim);
  for (size_t chunk = 0; chunk < head_dim; chunk += kScaleDims) {
    double farthest = 0.0;  // of the centres from the origin
    double widest = 0.0;
    for (size_t d = chunk; d < chunk + kScaleDims; ++d) {
      const double middle = (double{box.lowest[d]} + box.highest[d]) / 2;
      farthest = std::max(farthest, std::fabs(middle - kept.origin[d]));
      widest = std::max(widest, (double{box.highest[d]} - box.lowest[d]) / 2);
    }
    constexpr double kRounding = 1.0 + 0x1p-18;  // of f32
    const double centre_step = least_step(farthest * kRounding, 15.0);
    const double radius_step = least_step((widest + centre_step) * kRounding, 20.0);
    for (size_t d = chunk; d < chunk + kScaleDims; ++d) {
      ASSERT_LE(kept.lowest(d), box.lowest[d]);
      ASSERT_GE(kept.highest(d), box.highest[d]);
      const double half_width = (double{box.highest[d]} - box.lowest[d]) / 2;
      const double needed = (half_width + centre_step) * kRounding + radius_step;
      ASSERT_LE(kept.radius[d], std::max(needed, 5.0 * radius_step));
    }
  }
}

TEST_P(BlockKernels, ABoxHoldsItsKeysAndLittleMore) {
  std::mt19937 rng(7);
  for (const size_t head_dim : {32, 64, 96, 128, 256}) {
    std::vector<std::byte> group(bounds_group_bytes(head_dim));
    for (int i = 0; i < 200; ++i) {
      const Box box = random_box(head_dim, rng);
      const size_t lane = i == 0 ? 0 : 1 + rng() % (kBoundsGroupBlocks - 1);
      const std::vector<std::byte> before = group;
      bounds_set(group.data(), lane, box.lowest.data(), box.highest.data(), head_dim);
      expect_holds(group.data(), lane, box, head_dim);
      const size_t other = (lane + 1 + rng() % 15) % kBoundsGroupBlocks;
      const reference::BlockBox a = reference::block_box(group.data(), other, head_dim);
      const reference::BlockBox b = reference::block_box(before.data(), other, head_dim);
      if (lane != 0) {
        ASSERT_EQ(a.origin, b.origin);
      }
      ASSERT_EQ(a.offset, b.offset);
      ASSERT_EQ(a.radius, b.radius);
    }
  }
}

// One dimension far from zero costs the others nothing.
TEST_P(BlockKernels, TheOriginTakesWhatIsFarFromZero) {
  constexpr size_t kDim = 64;
  std::mt19937 rng(9);
  for (int i = 0; i < 200; ++i) {
    const Box box = random_box(kDim, rng);
    std::vector<std::byte> group(bounds_group_bytes(kDim));
    bounds_set(group.data(), 0, box.lowest.data(), box.highest.data(), kDim);
    expect_holds(group.data(), 0, box, kDim);
    const reference::BlockBox kept = reference::block_box(group.data(), 0, kDim);
    for (size_t chunk = 0; chunk < kDim; chunk += kScaleDims) {
      std::vector<double> far(kScaleDims, 0.0);
      double largest = 0.0;
      for (size_t j = 0; j < kScaleDims; ++j) {
        const double middle = 0.5F * (box.lowest[chunk + j] + box.highest[chunk + j]);
        const double spread = box.highest[chunk + j] - box.lowest[chunk + j];
        if (std::fabs(middle) > spread) far[j] = middle;
        largest = std::max(largest, std::fabs(far[j]));
      }
      const double half_step = largest / 127.0 * 0.5 * (1.0 + 0x1p-9) + 0x1p-25;
      for (size_t j = 0; j < kScaleDims; ++j) {
        ASSERT_NEAR(kept.origin[chunk + j], far[j], half_step);
        if (far[j] == 0.0) {
          ASSERT_EQ(kept.origin[chunk + j], 0.0);
        }
      }
    }
  }
}

// A state file moves from one machine to another.
TEST_P(BlockKernels, DescriptorsHaveTheSameBitsOnEveryTarget) {
  constexpr size_t kDim = 128;
  std::vector<std::byte> groups[2];
  for (std::vector<std::byte>& group : groups) {
    std::mt19937 rng(10);
    for (int i = 0; i < 50; ++i) {
      group.resize(group.size() + bounds_group_bytes(kDim));
      for (size_t lane = 0; lane < kBoundsGroupBlocks; ++lane) {
        const Box box = random_box(kDim, rng);
        bounds_set(group.data() + group.size() - bounds_group_bytes(kDim), lane, box.lowest.data(),
                   box.highest.data(), kDim);
      }
    }
    choose(0);  // the best of this processor
  }
  EXPECT_EQ(groups[0], groups[1]);
}

TEST_P(BlockKernels, KeysBeyondEveryHalfGiveFiniteBoxes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> lowest(32, -kInfinity);
  std::vector<float> highest(32, 1.0F);
  highest[1] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::byte> group(bounds_group_bytes(32));
  for (const size_t lane : {0, 1}) {
    bounds_set(group.data(), lane, lowest.data(), highest.data(), 32);
    const reference::BlockBox box = reference::block_box(group.data(), lane, 32);
    EXPECT_LE(box.lowest(0), -0x1p18);
    EXPECT_GE(box.highest(0), 1.0);
    EXPECT_TRUE(std::isfinite(box.highest(1)) && std::isfinite(box.lowest(1)));
  }
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
