// Block descriptors of keys that a trained model had: Qwen2.5-Coder-0.5B, layers 0, 11 and 22, over
// docs/architecture.md (tools/record_keys.py). Layer 0 has a dimension that is 145 in every key.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <vector>

#include "kernels/block_outlier.h"
#include "kernels/per_target_test.h"
#include "kernels/reference/block_outlier.h"
#include "quant/half.h"

namespace longhaul {
namespace {

constexpr size_t kTokens = 256, kDim = 64, kGroup = 7, kBlockSize = 16;
constexpr size_t kBlocks = kTokens / kBlockSize;
constexpr size_t kLayers = 3;
const double kScale = 1.0 / std::sqrt(static_cast<double>(kDim));

struct Layer {
  std::vector<float> keys;     // [kTokens, kDim]
  std::vector<float> queries;  // [kGroup, kDim]
};

std::vector<Layer> read_layers() {
  std::ifstream file(LONGHAUL_SOURCE_DIR "/tests/data/real_keys.f16", std::ios::binary);
  const auto read = [&](size_t n) {
    std::vector<uint16_t> halves(n);
    file.read(reinterpret_cast<char*>(halves.data()), static_cast<std::streamsize>(n * 2));
    std::vector<float> values(n);
    std::transform(halves.begin(), halves.end(), values.begin(), f16_to_f32);
    return values;
  };
  std::vector<Layer> layers(kLayers);
  for (Layer& layer : layers) layer = {read(kTokens * kDim), read(kGroup * kDim)};
  EXPECT_TRUE(file.good());
  EXPECT_EQ(file.peek(), std::ifstream::traits_type::eof());
  return layers;
}

double dot(const float* a, const float* b) { return std::inner_product(a, a + kDim, b, 0.0); }

using Scores = std::vector<std::vector<double>>;  // [kGroup][kBlocks], logarithms of masses

// By every key.
Scores true_scores(const Layer& layer) {
  Scores scores(kGroup, std::vector<double>(kBlocks));
  for (size_t h = 0; h < kGroup; ++h) {
    for (size_t b = 0; b < kBlocks; ++b) {
      std::vector<double> logits(kBlockSize);
      for (size_t t = 0; t < kBlockSize; ++t)
        logits[t] =
            kScale * dot(&layer.queries[h * kDim], &layer.keys[(b * kBlockSize + t) * kDim]);
      const double highest = *std::max_element(logits.begin(), logits.end());
      double sum = 0;
      for (const double logit : logits) sum += std::exp(logit - highest);
      scores[h][b] = highest + std::log(sum);
    }
  }
  return scores;
}

// By the two points as the definition has them, without rounding.
Scores scores_of_points(const Layer& layer) {
  Scores scores(kGroup, std::vector<double>(kBlocks));
  for (size_t b = 0; b < kBlocks; ++b) {
    const auto points = reference::points_of(&layer.keys[b * kBlockSize * kDim], kBlockSize, kDim);
    for (size_t h = 0; h < kGroup; ++h) {
      const float* q = &layer.queries[h * kDim];
      const double mean = std::inner_product(q, q + kDim, points.mean.begin(), 0.0);
      const double outlier = std::inner_product(q, q + kDim, points.outlier.begin(), 0.0);
      const double spread = std::sqrt(dot(q, q)) * points.spread;
      scores[h][b] =
          std::max(kScale * (mean + spread) + std::log(kBlockSize - 1.0), kScale * outlier);
    }
  }
  return scores;
}

// By the kernel, from descriptors.
Scores scores_of_codes(const Layer& layer) {
  std::vector<std::byte> group(outlier_group_bytes(kDim));
  for (size_t b = 0; b < kBlocks; ++b)
    outlier_set(group.data(), b, &layer.keys[b * kBlockSize * kDim], kBlockSize, kDim);
  const uint32_t page = 0;
  const BoundsView view{group.data(), group.size(), &page, kDim, kBlocks};
  std::vector<float> found(kGroup * kBlocks);
  score_blocks(view, {layer.queries.data(), kGroup, static_cast<float>(kScale), kBlockSize},
               found.data(), kBlocks);
  Scores scores(kGroup);
  for (size_t h = 0; h < kGroup; ++h) {
    const auto* row = &found[h * kBlocks];
    scores[h].assign(row, row + kBlocks);
  }
  return scores;
}

// Each head's shares, summed: how the selector ranks blocks.
std::vector<double> shares(const Scores& scores) {
  std::vector<double> sums(kBlocks);
  for (const auto& head : scores) {
    const double highest = *std::max_element(head.begin(), head.end());
    double total = 0;
    for (const double score : head) total += std::exp(score - highest);
    for (size_t b = 0; b < kBlocks; ++b) sums[b] += std::exp(head[b] - highest) / total;
  }
  return sums;
}

// What the best 4 of the blocks between the first and the last hold of what these hold together.
double caught(const std::vector<double>& ranking, const std::vector<double>& mass) {
  std::vector<size_t> order(kBlocks - 2);
  std::iota(order.begin(), order.end(), size_t{1});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return ranking[a] > ranking[b]; });
  double best = 0, all = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    all += mass[order[i]];
    if (i < 4) best += mass[order[i]];
  }
  return best / all;
}

class RealKeys : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(RealKeys);

// With 4 bits for either point, not rotated, layer 22 kept 0.82 of what the points themselves catch.
TEST_P(RealKeys, LoseLittleToTheirCodes) {
  for (const Layer& layer : read_layers()) {
    const auto mass = shares(true_scores(layer));
    const double by_points = caught(shares(scores_of_points(layer)), mass);
    EXPECT_GT(by_points, 0.9 * caught(mass, mass));
    EXPECT_GT(caught(shares(scores_of_codes(layer)), mass), 0.9 * by_points);
  }
}

}  // namespace
}  // namespace longhaul
