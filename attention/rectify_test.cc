#include "attention/rectify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "attention/outlier/summary.h"
#include "state/kv_cache.h"

namespace longhaul {
namespace {

constexpr size_t kHeadDim = 32;
constexpr size_t kBlock = 16;

// One layer, one KV head, f16. With even keys every key of a block is the same.
struct Fixture {
  explicit Fixture(size_t n_blocks, bool even_keys) {
    cache = std::move(*KvCache::create({.n_layers = 1,
                                        .n_kv_heads = 1,
                                        .key_dim = kHeadDim,
                                        .value_dim = kHeadDim,
                                        .block_size = kBlock,
                                        .max_tokens = n_blocks * kBlock,
                                        .summaries = {outliers.spec()}}));
    sequence = std::make_unique<KvSequence>(cache->new_sequence());
    std::mt19937 rng(7);
    std::normal_distribution<float> normal;
    const size_t n_tokens = n_blocks * kBlock;
    std::vector<float> keys(n_tokens * kHeadDim);
    for (size_t t = 0; t < n_tokens; ++t) {
      const bool copy = even_keys && t % kBlock != 0;
      for (size_t j = 0; j < kHeadDim; ++j) {
        keys[t * kHeadDim + j] = copy ? keys[(t - 1) * kHeadDim + j] : normal(rng);
      }
    }
    EXPECT_TRUE(sequence->prepare_write(0, n_tokens));
    sequence->write(0, 0, 0, n_tokens, keys.data(), kHeadDim, keys.data(), kHeadDim);
    queries.resize(kRows * kHeadDim);
    for (float& value : queries) value = normal(rng);
    job.kv = sequence->view(0, 0);
    job.q = queries.data();
    job.q_stride = kHeadDim;
    job.n_rows = kRows;
    job.n_group = 1;
    job.first_pos = static_cast<uint32_t>(n_tokens - kRows);
    job.scale = 1.0F / std::sqrt(static_cast<float>(kHeadDim));
    input.query = &job;
    summary = sequence->summary(0, 0, 0);
    input.summaries = {&summary, 1};
    input.block_size = kBlock;
    input.n_blocks = n_blocks;
    choice.reserve(n_blocks, kBlock, kHeadDim);
  }

  TileChoice select(double ratio, double tolerance) {
    AttentionOptions options;
    options.sparse_ratio = ratio;
    options.min_blocks = 1;
    return choice.select(*find_selector("outlier"), options, tolerance, input, workspace);
  }

  static constexpr size_t kRows = 8;
  OutlierSummary outliers{kHeadDim};
  SummaryView summary;
  std::unique_ptr<KvCache> cache;
  std::unique_ptr<KvSequence> sequence;
  std::vector<float> queries;
  AttentionJob job;
  SelectionInput input;
  RectifySelection choice;
  AttentionWorkspace workspace;
};

TEST(RectifySelection, IsTheUnionOfTheRowsSelections) {
  Fixture f(64, false);
  AttentionOptions options;
  options.sparse_ratio = 0.1;
  options.min_blocks = 1;
  std::vector<bool> wanted(64);
  SelectionBuffer single;
  single.reserve(64, kBlock, kHeadDim);
  for (size_t r = 0; r < Fixture::kRows; ++r) {
    AttentionJob row = f.job;
    row.q += r * kHeadDim;
    row.n_rows = 1;
    row.first_pos += static_cast<uint32_t>(r);
    SelectionInput input = f.input;
    input.query = &row;
    (void)single.select(*find_selector("outlier"), options, input, row.first_pos + 1, f.workspace);
    for (const uint32_t id : single.block_ids()) wanted[id] = true;
  }
  const auto choice = f.select(0.1, -1);
  ASSERT_FALSE(choice.all_tiles);
  EXPECT_EQ(choice.n_blocks, static_cast<size_t>(std::count(wanted.begin(), wanted.end(), true)));
  EXPECT_GT(choice.n_blocks, 7U);  // more than one row's share
  ASSERT_EQ(choice.tiles.size(), choice.n_blocks);
  for (const TileRef& tile : choice.tiles) EXPECT_TRUE(wanted[tile.tile]) << tile.tile;
}

TEST(RectifySelection, ReadsEverythingAtRatioOneOrBeyondTheTolerance) {
  Fixture f(64, false);
  EXPECT_TRUE(f.select(1.0, -1).all_tiles);
  EXPECT_FALSE(f.select(0.1, 1.0).all_tiles);
  EXPECT_TRUE(f.select(0.1, 0.001).all_tiles);
}

// The share of attention outside four blocks, for the first query at the end of the text: estimated
// and true.
struct MissedShare {
  explicit MissedShare(Fixture& f) {
    constexpr size_t kBlocks = 64;
    AttentionJob row = f.job;
    row.n_rows = 1;
    row.first_pos = kBlocks * kBlock - 1;
    f.input.query = &row;
    f.input.q_mean = row.q;
    std::vector<float> masses(kBlocks), estimates(kBlocks);
    const std::vector<uint32_t> ids = {1, 5, 20, 63};
    block_masses(row, kBlock, kBlocks, masses.data(), f.workspace);
    for (const uint32_t id : ids) truth -= masses[id];
    estimate = estimate_missed_mass(f.input, ids, estimates);
    // Logarithms of masses, but for a constant of their own.
    double lowest = 1e30;
    double highest = -1e30;
    for (size_t i = 0; i < kBlocks; ++i) {
      const double off = double{estimates[i]} - std::log(double{masses[i]});
      lowest = std::min(lowest, off);
      highest = std::max(highest, off);
    }
    widest = highest - lowest;
  }
  float truth = 1.0F;
  float estimate = 0.0F;
  double widest = 0.0;  // by how much the estimates of two blocks are off against each other
};

// Where the keys of a block are equal, only the rounding of their mean stands between the estimate
// and the true missed share of the softmax: a share s of masses that are off by factors within
// exp(e) is off by no more than s (1 - s) (exp(e) - 1).
TEST(MissedMass, IsTrueForBlocksOfEqualKeys) {
  Fixture f(64, true);
  for (float& x : f.queries) x *= 0.1F;  // so that the rounding stays small
  const MissedShare missed(f);
  EXPECT_LT(missed.widest, 0.2);
  EXPECT_NEAR(missed.estimate, missed.truth,
              missed.truth * (1 - missed.truth) * (std::exp(missed.widest) - 1));
}

// With spread keys it is an estimate, near the truth for normal ones.
TEST(MissedMass, IsNearForNormalKeys) {
  Fixture f(64, false);
  const MissedShare missed(f);
  EXPECT_NEAR(missed.estimate, missed.truth, 0.03);
}

}  // namespace
}  // namespace longhaul
