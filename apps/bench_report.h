// What `bench` prints: one row per test, with the bytes a token read as a share of the machine's
// bandwidth.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// Several runs of one test. The label is that of llama-bench: "pp512", "tg32 @ d4096".
struct BenchRow {
  std::string label;
  AttentionMode mode = AttentionMode::kDense;
  std::vector<double> tokens_per_s = {};         // one per repetition
  std::optional<AttentionStats> attention = {};  // of the last repetition; decode rows only
  double bytes_per_token = 0;                    // that decoding had to read; 0 for prefill rows

  double median() const;
};

struct BenchReport {
  ModelInfo model;
  EngineOptions options;
  double read_bytes_per_s = 0;  // measured
  std::vector<BenchRow> rows;
};

// Bytes read per decoded token: the weights once per pass, the blocks read, the descriptors of
// sparse steps.
double bytes_per_token(const ModelInfo& model, const EngineOptions& options, size_t depth,
                       const AttentionStats& stats, size_t n_tokens);

std::string bench_label(const char* test, size_t n_tokens, size_t depth);
std::string markdown(const BenchReport& report);
nlohmann::ordered_json to_json(const BenchReport& report);

}  // namespace longhaul
