// Runs the tests of `bench`, depth by depth.
#pragma once

#include <string>
#include <vector>

#include "apps/bench_report.h"
#include "apps/interrupt.h"
#include "longhaul/engine.h"

namespace longhaul {

struct BenchPlan {
  AttentionOptions attention;
  std::vector<AttentionMode> modes = {AttentionMode::kDense, AttentionMode::kSparse,
                                      AttentionMode::kResa, AttentionMode::kExact};
  std::vector<size_t> depths = {0, 4096};  // tokens in the cache before a test
  std::vector<size_t> prompts = {512};     // lengths of the prefill tests
  size_t n_generate = 32;
  std::vector<size_t> batches = {1};  // texts that decode at once
  size_t repetitions = 3;
  bool warmup = true;         // a first run of each test that is profiled and not timed
  std::string fill = "read";  // how a depth is reached: by reading tokens, or `random` keys
  std::string text_path;      // whose tokens are read; empty: random ones
};

// At each depth the text is read once; then the repetitions of all tests take turns, so that a slow
// moment of the machine meets all of them. The tokens of a position are the same in every test and
// every run, so that the hashes of the logits can be compared.
class BenchRun {
 public:
  // `text`: tokens of plan.text_path, enough for all tests; empty: random ones. `sessions`: as many
  // as the largest batch has texts.
  BenchRun(const BenchPlan& plan, const Engine& engine, std::vector<int32_t> text,
           std::vector<Session> sessions)
      : plan_(plan), engine_(engine), text_(std::move(text)), sessions_(std::move(sessions)) {}

  // Error: kCancelled after Ctrl-C, or what the engine says.
  Result<std::vector<BenchRow>> run();

 private:
  std::vector<int32_t> tokens_at(size_t first, size_t n) const;
  std::vector<int32_t> prompt_of(const BenchRow& row, size_t text) const;
  GenerateRequest request(std::vector<int32_t> prompt, size_t n_tokens, AttentionMode mode) const;
  Result<GenerateResult> generate(Session& session, GenerateRequest request,
                                  const std::string& label);
  Result<std::vector<GenerateResult>> generate_all(const BenchRow& row, bool profile);
  Status fill(size_t text, size_t depth);
  std::vector<BenchRow> rows_at(size_t depth) const;
  Status run_test(BenchRow& row, bool timed, bool profiled);

  const BenchPlan& plan_;
  const Engine& engine_;
  std::vector<int32_t> text_;
  std::vector<Session> sessions_;
  Interrupt interrupt_;
};

}  // namespace longhaul
