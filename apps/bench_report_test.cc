#include "apps/bench_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/random_model.h"

namespace longhaul {
namespace {

constexpr double kKvBytes = 2.0 * 2 * 2 * 64 * 2;  // of a token: K and V, layers, heads, dims, f16

// A decode test of 10 tokens at depth 4096, 15 tokens/s in the middle.
BenchRow decode_row(AttentionMode mode, size_t n_attended) {
  BenchRow row{.n_tokens = 10, .depth = 4096, .mode = mode, .tokens_per_s = {10, 15, 25}};
  row.attention.blocks_read = 1;
  row.attention.blocks_total = 8;
  row.profile.steps = {.n_passes = 10,
                       .n_tokens = 10,
                       .n_attended = static_cast<double>(n_attended),
                       .weights_s = 0.2,
                       .selection_s = 0.01,
                       .attention_s = 0.1,
                       .rest_s = 0.05};
  row.profiled_s = 0.5;
  return row;
}

BenchReport sample() {
  BenchReport report;
  report.options.block_size = 16;
  report.model.n_layers = 2;
  report.model.n_heads = 4;
  report.model.n_kv_heads = 2;
  report.model.head_dim = 64;
  report.model.d_model = 256;
  report.model.d_ff = 512;
  report.model.vocab_size = 1000;
  report.weights = {.packed = 1000000, .per_token = 1000000};
  report.plan = plan_random_model({.architecture = "llama",
                                   .n_layers = 2,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .head_dim = 64,
                                   .d_model = 256,
                                   .d_ff = 512,
                                   .vocab_size = 1000})
                    .value()
                    .plan;
  report.machine.read_bytes_per_s = 1e9;
  report.machine.dot_ops_per_s = 1e12;
  report.rows.push_back(
      {.kind = BenchKind::kPrefill, .n_tokens = 512, .tokens_per_s = {100, 300, 200}});
  report.rows.push_back(decode_row(AttentionMode::kDense, 40960));
  return report;
}

TEST(BenchReport, TakesMediansAndSpreads) {
  EXPECT_EQ(sample().rows[0].median(), 200);
  EXPECT_EQ(sample().rows[1].median(), 15);
  EXPECT_EQ(sample().rows[1].spread(), 7.5);
}

TEST(BenchReport, LabelsAreThoseOfLlamaBench) {
  EXPECT_EQ(sample().rows[0].label(), "pp512");
  EXPECT_EQ(sample().rows[1].label(), "tg10 @ d4096");
}

TEST(BenchReport, APartsTimesAddUpToTheRun) {
  const BenchReport report = sample();
  BenchRow row = report.rows[1];
  row.profile.chunks = {.n_passes = 1, .n_tokens = 10, .weights_s = 0.03, .attention_s = 0.02};
  const BenchCost cost = bench_cost(report, row);
  EXPECT_DOUBLE_EQ(cost.weights_ms, 20);
  EXPECT_DOUBLE_EQ(cost.selection_ms, 1);
  EXPECT_DOUBLE_EQ(cost.attention_ms, 10);
  EXPECT_DOUBLE_EQ(cost.chunks_ms, 5);
  EXPECT_NEAR(cost.rest_ms, 14, 1e-9);  // 5 inside the passes, 9 outside
  EXPECT_NEAR(cost.total_ms(), 50, 1e-9);
}

TEST(BenchReport, ADenseTokenReadsWeightsAndCache) {
  const BenchReport report = sample();
  const BenchCost dense = bench_cost(report, report.rows[1]);
  EXPECT_NEAR(dense.bytes_per_token, 1e6 + kKvBytes * 4096, 1);
  EXPECT_NEAR(dense.weights_bytes_per_s, 10 * 1e6 / 0.2, 1);
  EXPECT_NEAR(dense.attention_bytes_per_s, kKvBytes * 40960 / 0.1, 1);
}

TEST(BenchReport, ASparseTokenReadsItsBlocksAndAllBounds) {
  const BenchReport report = sample();
  BenchRow row = decode_row(AttentionMode::kSparse, 4096);
  row.attention.sparse_steps = 10;
  // Bounds: 17 groups of 1280 bytes per (layer, KV head), in whole pages of the system.
  EXPECT_NEAR(bench_cost(report, row).bytes_per_token, 1e6 + kKvBytes * 409.6 + 4 * 24576,
              0.02 * kKvBytes * 409.6);
  // Gate keys: 17 groups of 16 blocks of 32 halves, and Wq of 4 heads by 64 by 32 halves in 2
  // layers.
  BenchReport gated = report;
  gated.attention.selector = "gate";
  gated.model.gate_dim = 32;
  EXPECT_NEAR(bench_cost(gated, row).bytes_per_token,
              1e6 + kKvBytes * 409.6 + 4 * 20480 + 2 * 4 * 64 * 32 * 2, 0.02 * kKvBytes * 409.6);
}

TEST(BenchReport, AChunkReadsATileOnceForAllItsRows) {
  const BenchReport report = sample();
  BenchRow row = decode_row(AttentionMode::kResa, 0);
  row.profile.chunks = {.n_passes = 1, .n_tokens = 10, .n_attended = 40960, .attention_s = 0.1};
  const BenchCost cost = bench_cost(report, row);
  // Without logits the last layer stores keys and values, and that is all.
  const double layer = 256 * (2 * 256 + 2 * 128 + 3 * 512);
  const double without_logits = layer + 256 * 2 * 128;
  const double share = without_logits / (2 * layer + 256 * 1000);
  EXPECT_NEAR(cost.bytes_per_token, (10 + share) * 1e6 / 10 + kKvBytes * 4096 / 10, 1);
  const double matrix_ops = 2.0 * without_logits;
  const double attention_ops = 4.0 * 4 * 64 * 2 * 4096;
  EXPECT_NEAR(cost.chunk_ops_per_s, 10 * (matrix_ops + attention_ops) / 0.1, 1);
}

TEST(BenchReport, RowsOfAPassShareExperts) {
  BenchReport report = sample();
  report.plan =
      plan_random_model({.architecture = "qwen3moe", .n_experts = 8, .n_active_experts = 2})
          .value()
          .plan;
  report.weights = {.packed = 900000, .per_token = 300000};  // 100,000 for all rows
  BenchRow row = decode_row(AttentionMode::kDense, 0);
  EXPECT_NEAR(bench_cost(report, row).bytes_per_token, 300000, 1);
  row.profile.steps.n_passes = 5;  // of two rows each
  const double read = 100000 + 800000 * (1 - std::pow(0.75, 2));
  EXPECT_NEAR(bench_cost(report, row).bytes_per_token, read / 2, 1);
}

TEST(BenchReport, OperationsOfATokenCountTheLogits) {
  const BenchReport report = sample();
  const double matrix_ops = 2.0 * (2 * 256 * (2 * 256 + 2 * 128 + 3 * 512) + 256 * 1000);
  const double attention_ops = 4.0 * 4 * 64 * 2 * 4096;
  EXPECT_NEAR(bench_cost(report, report.rows[1]).ops_per_token, matrix_ops + attention_ops, 1);
}

TEST(BenchReport, WritesAllThreeForms) {
  const BenchReport report = sample();
  const std::string text = markdown(report);
  EXPECT_NE(text.find("tg10 @ d4096"), std::string::npos) << text;
  EXPECT_NE(text.find("12.5%"), std::string::npos) << text;  // KV blocks read
  const auto json = to_json(report);
  EXPECT_EQ(json["rows"][1]["mode"], "dense");
  EXPECT_EQ(json["rows"][0].count("mode"), 0U);
  EXPECT_EQ(json["speed_only"], false);
  const std::string lines = csv(report);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  const std::string header = lines.substr(0, lines.find('\n'));
  const std::string last = lines.substr(lines.find("tg10"));
  EXPECT_EQ(std::count(header.begin(), header.end(), ','),
            std::count(last.begin(), last.end(), ','));
}

TEST(BenchReport, RandomNumbersAreLabelled) {
  BenchReport report = sample();
  report.fill = "random";
  EXPECT_NE(markdown(report).find("speed only"), std::string::npos);
  EXPECT_EQ(to_json(report)["speed_only"], true);
  report.fill = "read";
  EXPECT_EQ(markdown(report).find("speed only"), std::string::npos);
  report.options.shape = "qwen3-0.6b";
  EXPECT_NE(markdown(report).find("speed only"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
