#include "apps/bench_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace longhaul {
namespace {

AttentionStats make_stats(size_t dense_steps, size_t sparse_steps, size_t blocks_read,
                          size_t blocks_total) {
  AttentionStats stats;
  stats.dense_steps = dense_steps;
  stats.sparse_steps = sparse_steps;
  stats.blocks_read = blocks_read;
  stats.blocks_total = blocks_total;
  return stats;
}

BenchReport sample() {
  BenchReport report;
  report.model.n_layers = 2;
  report.model.n_kv_heads = 2;
  report.model.head_dim = 64;
  report.model.weight_bytes = 1000000;
  report.read_bytes_per_s = 1e9;
  report.rows.push_back({.label = bench_label("pp", 512, 0), .tokens_per_s = {100, 300, 200}});
  BenchRow decode{.label = bench_label("tg", 32, 4096),
                  .mode = AttentionMode::kSparse,
                  .tokens_per_s = {10, 20}};
  decode.attention = make_stats(0, 32, 1, 8);
  decode.bytes_per_token = 2e6;
  report.rows.push_back(decode);
  return report;
}

TEST(BenchReport, TakesMedians) {
  EXPECT_EQ(sample().rows[0].median(), 200);
  EXPECT_EQ(sample().rows[1].median(), 15);
}

TEST(BenchReport, LabelsAreThoseOfLlamaBench) {
  EXPECT_EQ(sample().rows[0].label, "pp512");
  EXPECT_EQ(sample().rows[1].label, "tg32 @ d4096");
}

TEST(BenchReport, TablesSayTheShareOfTheBandwidth) {
  const std::string text = markdown(sample());
  EXPECT_NE(text.find("tg32 @ d4096"), std::string::npos) << text;
  EXPECT_NE(text.find("3.0%"), std::string::npos) << text;   // 15 tokens/s of 2 MB, of 1 GB/s
  EXPECT_NE(text.find("12.5%"), std::string::npos) << text;  // KV blocks read
  EXPECT_DOUBLE_EQ(to_json(sample())["rows"][1]["bandwidth_share"], 0.03);
}

TEST(BenchReport, ADenseTokenReadsWeightsAndCache) {
  const BenchReport report = sample();
  AttentionStats stats = make_stats(10, 0, 100, 100);
  const double dense = bytes_per_token(report.model, report.options, 4096, stats, 10);
  const double kv_bytes =
      2.0 * 2 * 2 * 64 * 2 * 4096;  // K and V, layers, heads, head_dim, f16, tokens
  EXPECT_NEAR(dense, 1e6 + kv_bytes, 0.02 * kv_bytes);
  stats = make_stats(0, 10, 10, 100);
  const double sparse = bytes_per_token(report.model, report.options, 4096, stats, 10);
  EXPECT_NEAR(sparse, 1e6 + kv_bytes * (0.1 + 1.0 / 32),
              0.02 * kv_bytes);  // descriptors: half of K / 8
}

}  // namespace
}  // namespace longhaul
