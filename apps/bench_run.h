// Runs the tests of `bench` on one session, depth by depth.
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
  size_t repetitions = 3;
  bool warmup = true;         // a first run of each test that is profiled and not timed
  std::string fill = "read";  // how a depth is reached: by reading random tokens, or `random` keys
};

// At each depth the text is read once; then the repetitions of all tests take turns, so that a slow
// moment of the machine meets all of them. The tokens of a position are the same in every test and
// every run, so that the hashes of the logits can be compared.
class BenchRun {
 public:
  BenchRun(const BenchPlan& plan, const Engine& engine, Session session)
      : plan_(plan), engine_(engine), session_(std::move(session)) {}

  // Error: kCancelled after Ctrl-C, or what the engine says.
  Result<std::vector<BenchRow>> run();

 private:
  std::vector<int32_t> tokens_at(size_t first, size_t n) const;
  Result<GenerateResult> generate(std::vector<int32_t> prompt, size_t n_tokens, AttentionMode mode,
                                  bool profile, const std::string& label);
  Status fill(size_t depth);
  std::vector<BenchRow> rows_at(size_t depth) const;
  Status run_test(BenchRow& row, bool timed, bool profiled);

  const BenchPlan& plan_;
  const Engine& engine_;
  Session session_;
  Interrupt interrupt_;
};

}  // namespace longhaul
