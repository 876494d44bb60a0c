// The gate selector through a cache, on keys one can see through.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attention/gate/summary.h"
#include "attention/selector.h"
#include "state/kv_cache.h"

namespace longhaul {
namespace {

constexpr size_t kHeadDim = 32;
constexpr size_t kBlock = 8;

// Without rotation and norms; the gate query is q, the gate key the mean of a block's keys.
GateWeights mean_gates(size_t n_sinks) {
  GateWeights weights;
  weights.base = {.n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = kHeadDim};
  weights.block_size = kBlock;
  weights.sink_blocks = n_sinks;
  weights.dim = kHeadDim;
  weights.rope = weights.qk_norm = false;
  LayerGate& layer = weights.layers.emplace_back();
  layer.wq.assign(kHeadDim * kHeadDim, 0.0F);
  layer.wk.assign(kHeadDim * 3 * kHeadDim, 0.0F);
  for (size_t j = 0; j < kHeadDim; ++j)
    layer.wq[j * kHeadDim + j] = layer.wk[(j * 3 + 2) * kHeadDim + j] = 1.0F;
  return weights;
}

// Blocks whose keys have the given mean in dimension 0, and the query (q0, 0, 0, ..).
struct Fixture {
  Fixture(const std::vector<float>& means, size_t n_tokens, float q0, size_t n_sinks = 0)
      : gates(mean_gates(n_sinks), {}), angles(gates.n_row_floats()), q(kHeadDim, 0.0F) {
    cache = KvCache::create({.n_layers = 1,
                             .n_kv_heads = 1,
                             .key_dim = kHeadDim,
                             .value_dim = kHeadDim,
                             .block_size = kBlock,
                             .max_tokens = 1024,
                             .summaries = {gates.spec()}})
                .value();
    sequence = std::make_unique<KvSequence>(cache->new_sequence());
    EXPECT_TRUE(sequence->prepare_write(0, n_tokens));
    std::vector<float> key(kHeadDim, 0.0F);
    for (size_t t = 0; t < n_tokens; ++t) {
      key[0] = means[t / kBlock] + (t % 2 == 0 ? 64.0F : -64.0F);  // the bounds tell nothing
      sequence->write(0, 0, t, 1, key.data(), kHeadDim, key.data(), kHeadDim);
    }
    q[0] = q0;
    job.kv = sequence->view(0, 0);
    job.q = q.data();
    job.n_rows = job.n_group = 1;
    job.first_pos = static_cast<uint32_t>(n_tokens - 1);
    gates.prepare_row(job.first_pos, angles.data());
    summary = sequence->summary(0, 0, 0);
    summary.rows = angles.data();
    input = {.query = &job,
             .block_size = kBlock,
             .n_blocks = (n_tokens + kBlock - 1) / kBlock,
             .summaries = {&summary, 1}};
    selection.reserve(input.n_blocks, kBlock, kHeadDim);
  }

  std::vector<uint32_t> select(const AttentionOptions& options) {
    selection.select(*find_selector("gate"), options, input, job.first_pos + 1, workspace);
    return {selection.block_ids().begin(), selection.block_ids().end()};
  }
  std::vector<float> scores() {
    std::vector<float> found(input.n_blocks);
    find_selector("gate")->score(input, found, workspace);
    return found;
  }

  GateSummary gates;
  SummaryView summary;
  std::vector<float> angles, q;
  std::unique_ptr<KvCache> cache;
  std::unique_ptr<KvSequence> sequence;
  AttentionJob job;
  SelectionInput input;
  SelectionBuffer selection;
  AttentionWorkspace workspace;
};

using Ids = std::vector<uint32_t>;

TEST(GateSelector, RanksBlocksByGateQueryTimesGateKey) {
  Fixture f({3, -1, 7, 2, 5}, 5 * kBlock, 2.0F);
  const auto scores = f.scores();
  const float scale = std::sqrt(static_cast<float>(kHeadDim));
  EXPECT_FLOAT_EQ(scores[0], 6 / scale);
  EXPECT_FLOAT_EQ(scores[1], -2 / scale);
  EXPECT_FLOAT_EQ(scores[2], 14 / scale);
  AttentionOptions options;
  options.token_budget = 3 * kBlock;
  EXPECT_EQ(f.select(options), (Ids{0, 2, 4}));  // the newest is one of the three
  f.q[0] = -2.0F;
  EXPECT_EQ(f.select(options), (Ids{0, 1, 4}));  // the first is another
  options.token_budget = 4 * kBlock;
  EXPECT_EQ(f.select(options), (Ids{0, 1, 3, 4}));
  options.token_budget = 5 * kBlock;
  EXPECT_EQ(f.select(options), (Ids{0, 1, 2, 3, 4}));
}

TEST(Selection, OfEveryBlockIsAllTilesAndNoList) {
  Fixture f({3, -1, 7, 2, 5}, 5 * kBlock, 2.0F);
  AttentionOptions options;
  for (const size_t n_blocks : {4, 5}) {
    options.token_budget = n_blocks * kBlock;
    const TileChoice choice = f.selection.select(*find_selector("gate"), options, f.input,
                                                 f.job.first_pos + 1, f.workspace);
    EXPECT_EQ(choice.all_tiles, n_blocks == 5);
    EXPECT_EQ(choice.n_blocks, n_blocks);
    EXPECT_EQ(choice.tiles.empty(), choice.all_tiles);
  }
}

TEST(GateSelector, TheUnfinishedBlockHasNoKeyAndIsSelected) {
  Fixture f({3, -1, 7, -100}, 3 * kBlock + 1, 2.0F);
  EXPECT_EQ(gate_keys(f.summary).n_rows, 3U);
  EXPECT_EQ(f.scores()[3], std::numeric_limits<float>::max());
  AttentionOptions options;
  options.token_budget = 3 * kBlock;
  EXPECT_EQ(f.select(options), (Ids{0, 2, 3}));
}

// A row in the middle of a pass: its block is complete in the cache, but not for the row.
TEST(GateSelector, ARowDoesNotSeeTheBlocksThatLaterTokensComplete) {
  Fixture f({3, -1, 7}, 3 * kBlock, 2.0F);
  f.job.first_pos = 2 * kBlock + 3;
  EXPECT_EQ(f.scores()[2], std::numeric_limits<float>::max());
  f.job.first_pos = 3 * kBlock - 1;
  EXPECT_FLOAT_EQ(f.scores()[2], 14 / std::sqrt(static_cast<float>(kHeadDim)));
}

// Whatever the gate says of it: without that block in the softmax 4, 16, 8 and 2 of 30 are left.
TEST(GateSelector, ASinkThatItWasNotTrainedOnHasNoShare) {
  const auto q0 = static_cast<float>(std::log(2.0) / 4 * std::sqrt(double{kHeadDim}));
  const std::vector<float> means = {100, 8, 16, 12, 4, 0};
  AttentionOptions options;
  options.gate_threshold = 5.0 / 30;
  EXPECT_EQ(Fixture(means, 5 * kBlock + 2, q0).select(options), (Ids{0, 5}));
  EXPECT_EQ(Fixture(means, 5 * kBlock + 2, q0, 1).select(options), (Ids{0, 2, 3, 5}));
}

TEST(GateSelector, AThresholdTakesEveryBlockAboveIt) {
  // Logits 0, 8, 16, 12, 4 times ln 2 / 4: shares 1, 4, 16, 8 and 2 of 31, then the unfinished one.
  const auto q0 = static_cast<float>(std::log(2.0) / 4 * std::sqrt(double{kHeadDim}));
  Fixture f({0, 8, 16, 12, 4, 0}, 5 * kBlock + 2, q0);
  AttentionOptions options;
  options.gate_threshold = 3.0 / 31;
  EXPECT_EQ(f.select(options), (Ids{0, 1, 2, 3, 5}));
  options.gate_threshold = 12.0 / 31;
  EXPECT_EQ(f.select(options), (Ids{0, 2, 5}));
  options.gate_threshold = 0.99;
  EXPECT_EQ(f.select(options), (Ids{0, 5}));
  options.local_blocks = 2;
  EXPECT_EQ(f.select(options), (Ids{0, 4, 5}));
  options.gate_threshold = 1e-6;
  EXPECT_EQ(f.select(options), (Ids{0, 1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace longhaul
