// What `bench` prints: one row per test, with the bytes and operations of a token as shares of what
// the machine was measured to do.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/bench_machine.h"
#include "longhaul/engine.h"
#include "model/tensors.h"

namespace longhaul {

enum class BenchKind : uint8_t { kPrefill, kDecode };

// Several runs of one test.
struct BenchRow {
  BenchKind kind = BenchKind::kDecode;
  size_t n_tokens = 0;  // of each text
  size_t depth = 0;
  size_t n_texts = 1;  // that decode at once
  AttentionMode mode = AttentionMode::kDense;
  std::vector<double> tokens_per_s = {};  // of all texts together, one per repetition
  AttentionStats attention = {};          // of the profiled run, as all below
  Profile profile = {};
  double profiled_s = 0;  // wall time of the profiled run

  std::string label() const;  // that of llama-bench: "pp512", "tg32 @ d4096", "tg32 x4"
  double median() const;
  double spread() const;  // half the distance from the slowest to the fastest repetition
};

struct BenchReport {
  ModelInfo model;
  ModelPlan plan;
  WeightBytes weights;
  EngineOptions options;
  AttentionOptions attention;
  Machine machine;
  std::string fill;                        // "read", "random" or "text"
  std::optional<Calibration> calibration;  // of `auto`, if it runs
  bool calibration_was_stored = false;
  size_t peak_memory_bytes = 0;  // of the process, at the end of the run
  std::vector<BenchRow> rows;
};

// Milliseconds per token of the profiled run, which `ms_total` is the sum of; and what its passes
// moved and computed.
struct BenchCost {
  double weights_ms = 0, selection_ms = 0, attention_ms = 0;  // of the prompt, or one-token passes
  double chunks_ms = 0;  // rectification or verification, whole
  double rest_ms = 0;
  double bytes_per_token = 0;
  double ops_per_token = 0;
  // While a part ran: bytes of weights; bytes of K and V, and operations, of attention; operations
  // of chunks, or of the prompt. Per second; 0 where the part did not run.
  double weights_bytes_per_s = 0;
  double attention_bytes_per_s = 0, attention_ops_per_s = 0;
  double chunk_ops_per_s = 0;

  double total_ms() const { return weights_ms + selection_ms + attention_ms + chunks_ms + rest_ms; }
};
// Bytes: the weights once per pass (of experts those that its rows would choose at random; without
// logits nothing that only they need), every tile read, the bounds of all blocks per sparse step.
// Operations: two for each weight and row, four for each query element and position attended to.
BenchCost bench_cost(const BenchReport& report, const BenchRow& row);

std::string markdown(const BenchReport& report);
std::string csv(const BenchReport& report);
nlohmann::ordered_json to_json(const BenchReport& report);

}  // namespace longhaul
