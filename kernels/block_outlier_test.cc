#include "kernels/block_outlier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/kv_tile.h"
#include "kernels/per_target_test.h"
#include "kernels/reference/block_outlier.h"
#include "quant/half.h"

namespace longhaul {
namespace {

constexpr size_t kBlockSize = 16;

// Keys as trained models have them: dimensions of large and nearly constant value, in some blocks
// one key unlike the others. Their descriptors lie on permuted pages.
struct Blocks {
  size_t head_dim, n_blocks;
  std::vector<float> keys;  // [n_blocks * kBlockSize, head_dim]
  std::vector<std::byte> arena;
  std::vector<uint32_t> pages;

  Blocks(size_t dim, size_t blocks, unsigned seed)
      : head_dim(dim), n_blocks(blocks), keys(blocks * kBlockSize * dim) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    for (size_t t = 0; t < blocks * kBlockSize; ++t) {
      const bool odd = t % (3 * kBlockSize) == 5;
      for (size_t d = 0; d < dim; ++d) {
        keys[t * dim + d] = normal(rng) + (d % 9 == 0 ? 20.0F : 0.0F) + (odd && d % 5 == 0 ? 6 : 0);
      }
    }
    const size_t n_groups = (blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
    arena.assign((n_groups + 2) * stride(), std::byte{0x7F});  // unused lanes hold NaN
    for (size_t g = 0; g < n_groups; ++g) pages.push_back(static_cast<uint32_t>(n_groups + 1 - g));
    for (size_t i = 0; i < blocks; ++i)
      outlier_set(group(i), i % kBoundsGroupBlocks, block_keys(i), kBlockSize, dim);
  }
  const float* block_keys(size_t block) const { return &keys[block * kBlockSize * head_dim]; }
  std::byte* group(size_t block) {
    return arena.data() + pages[block / kBoundsGroupBlocks] * stride();
  }
  size_t stride() const { return outlier_group_bytes(head_dim) + 64; }
  BoundsView view() const { return {arena.data(), stride(), pages.data(), head_dim, n_blocks}; }
};

class BlockOutlier : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(BlockOutlier);

// The points are those of the definition, each rounded by at most a step, which is as small as the
// farthest dimension of its 32 allows.
TEST_P(BlockOutlier, PointsAreThoseOfTheDefinition) {
  for (const size_t dim : {32, 64, 96, 128, 256}) {
    Blocks blocks(dim, 40, static_cast<unsigned>(dim));
    for (size_t b = 0; b < blocks.n_blocks; ++b) {
      const auto exact = reference::points_of(blocks.block_keys(b), kBlockSize, dim);
      const size_t lane = b % kBoundsGroupBlocks;
      const auto kept = reference::block_points(blocks.group(b), lane, dim);
      EXPECT_NEAR(kept.spread, exact.spread, 1e-3 * exact.spread);
      const auto origin = reference::rotated(
          reference::points_of(blocks.block_keys(b - lane), kBlockSize, dim).mean);
      const auto mean = reference::rotated(exact.mean);
      const auto outlier = reference::rotated(exact.outlier);
      for (size_t first = 0; first < dim; first += kScaleDims) {
        double farthest[2] = {0, 0};
        double largest = 0;
        for (size_t j = first; j < first + kScaleDims; ++j) {
          farthest[0] = std::max(farthest[0], std::fabs(mean[j] - origin[j]));
          farthest[1] = std::max(farthest[1], std::fabs(outlier[j] - origin[j]));
          largest = std::max(largest, std::fabs(origin[j]));
        }
        const double rounded = largest / 254 * 1.01;  // of the origin
        for (size_t j = first; j < first + kScaleDims; ++j) {
          ASSERT_NEAR(kept.mean[j], mean[j], kept.mean_step[j] * 1.001 + 1e-5);
          ASSERT_NEAR(kept.outlier[j], outlier[j], kept.outlier_step[j] * 1.001 + 1e-5);
          ASSERT_LE(kept.mean_step[j], (farthest[0] + rounded) / 31 * 1.002 + 1e-7);
          ASSERT_LE(kept.outlier_step[j], (farthest[1] + rounded) / 7 * 1.002 + 1e-7);
        }
      }
    }
  }
}

// How far rounding q and adding in f32 may move a score: half a step of q for every dimension of
// both points and the length of q, and f32 sums of their magnitudes.
double score_error(const std::vector<double>& q, const reference::BlockPoints& points,
                   double scale) {
  double error = 0.0;
  double squares = 0.0;
  double sum = 0.0;
  for (size_t chunk = 0; chunk < q.size(); chunk += kScaleDims) {
    double largest = 0.0;
    double sum_k = 0.0;
    for (size_t d = chunk; d < chunk + kScaleDims; ++d) {
      const double k = std::max(std::fabs(points.mean[d]), std::fabs(points.outlier[d]));
      largest = std::max<double>(largest, std::fabs(q[d]));
      sum_k += k;
      sum += std::fabs(q[d]) * (k + 20.0 * std::max(points.mean_step[d], points.outlier_step[d]));
    }
    error += largest / 132.0 * sum_k * 1.001;
    squares += std::pow(largest / 132.0, 2) * static_cast<double>(kScaleDims);
  }
  return scale * (error + std::sqrt(squares) * points.spread * 1.001 + sum * 1e-5) + 1e-5;
}

TEST_P(BlockOutlier, ScoresAreThoseOfTheDefinition) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  size_t n_by_outlier = 0;
  for (const size_t dim : {32, 64, 96, 128, 256}) {
    for (const size_t n_blocks : {1, 15, 16, 17, 50}) {
      Blocks blocks(dim, n_blocks, static_cast<unsigned>(n_blocks));
      for (const size_t n_queries : {1, 2, 3, 7, 18}) {
        const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
        std::vector<float> q(n_queries * dim);
        for (float& e : q) e = normal(rng);
        q[5] = 0.0F;
        q[17] = 30.0F;
        const size_t stride = n_blocks + 3;
        std::vector<float> scores(n_queries * stride, -7.0F);
        score_blocks(blocks.view(), {q.data(), n_queries, scale, kBlockSize}, scores.data(),
                     stride);
        for (size_t h = 0; h < n_queries; ++h) {
          const auto at = q.begin() + static_cast<std::ptrdiff_t>(h * dim);
          const auto one = reference::rotated({at, at + static_cast<std::ptrdiff_t>(dim)});
          for (size_t b = 0; b < n_blocks; ++b) {
            const auto points =
                reference::block_points(blocks.group(b), b % kBoundsGroupBlocks, dim);
            const double exact =
                reference::block_log_mass(blocks.view(), b, one, scale, kBlockSize);
            ASSERT_NEAR(scores[h * stride + b], exact, score_error(one, points, scale));
            double outlier = 0;
            for (size_t d = 0; d < dim; ++d) outlier += one[d] * points.outlier[d];
            n_by_outlier += std::fabs(outlier * scale - exact) < 1e-9 ? 1 : 0;
          }
          for (size_t i = n_blocks; i < stride; ++i) ASSERT_EQ(scores[h * stride + i], -7.0F);
        }
      }
    }
  }
  EXPECT_GT(n_by_outlier, 100U);  // both points decide scores
}

// A lone key that the query looks for counts, wherever it stands in its block.
TEST_P(BlockOutlier, FindsTheBlockOfALoneKey) {
  constexpr size_t kDim = 64;
  std::mt19937 rng(4);
  for (size_t slot = 0; slot < kBlockSize; ++slot) {
    Blocks blocks(kDim, 30, static_cast<unsigned>(slot));
    std::vector<float> q(kDim);
    std::normal_distribution<float> normal;
    for (float& e : q) e = normal(rng);
    const size_t wanted = 7 + slot;
    float* key = &blocks.keys[(wanted * kBlockSize + slot) * kDim];
    for (size_t d = 0; d < kDim; ++d) key[d] += 3.0F * q[d];
    outlier_set(blocks.group(wanted), wanted % kBoundsGroupBlocks, blocks.block_keys(wanted),
                kBlockSize, kDim);
    std::vector<float> scores(blocks.n_blocks);
    score_blocks(blocks.view(), {q.data(), 1, 0.125F, kBlockSize}, scores.data(), scores.size());
    EXPECT_EQ(std::max_element(scores.begin(), scores.end()) - scores.begin(),
              static_cast<std::ptrdiff_t>(wanted));
  }
}

TEST_P(BlockOutlier, OddInputsGiveFiniteScores) {
  constexpr size_t kDim = 64;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Blocks blocks(kDim, 20, 1);
  blocks.keys[3] = std::numeric_limits<float>::quiet_NaN();
  blocks.keys[kDim + 4] = -kInfinity;
  blocks.keys[2 * kDim] = 1e30F;
  outlier_set(blocks.group(0), 0, blocks.block_keys(0), kBlockSize, kDim);
  outlier_set(blocks.group(1), 1, blocks.block_keys(1), 1, kDim);  // a block of one key
  const std::vector<float> zeros(kBlockSize * kDim, 0.0F);
  outlier_set(blocks.group(2), 2, zeros.data(), kBlockSize, kDim);
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), kInfinity, 1e-42F, 1e30F}) {
    std::vector<float> q(kDim, 0.5F);
    q[3] = odd;
    std::vector<float> scores(blocks.n_blocks);
    score_blocks(blocks.view(), {q.data(), 1, 0.125F, kBlockSize}, scores.data(), scores.size());
    for (const float score : scores) EXPECT_TRUE(std::isfinite(score)) << odd;
  }
}

}  // namespace
}  // namespace longhaul
