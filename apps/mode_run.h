// One prompt decoded in each attention mode, dense first: what `demo` runs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/interrupt.h"
#include "longhaul/engine.h"

namespace longhaul {

// What one mode made of the prompt.
struct ModeRun {
  AttentionMode mode = AttentionMode::kDense;
  GenerateResult result = {};             // of the first round
  std::vector<double> tokens_per_s = {};  // decoding, one per round
  size_t n_as_dense = 0;                  // tokens before the first that is not the dense run's
  bool same_as_dense = false;

  double median_tokens_per_s() const;
};

struct JobOptions {
  AttentionOptions attention;  // for each of the modes
  std::vector<AttentionMode> modes;
  size_t n_rounds =
      1;  // the modes take turns, so that a slow moment of the machine meets all of them
};

// Reads the prompt once and decodes greedily behind it in each mode, dense before the others.
// Rounds after the first only measure speed; one that gives other tokens is an engine error. The
// engine has room for two sessions. `title` stands before the progress.
Result<std::vector<ModeRun>> run_modes(Engine& engine, const std::string& title,
                                       const std::vector<int32_t>& prompt, size_t max_tokens,
                                       JobOptions options, const Interrupt& interrupt);

// The run of that mode, or nullptr.
const ModeRun* find_run(const std::vector<ModeRun>& runs, AttentionMode mode);
// False if `exact` ran and gave other tokens than `dense`: the engine broke its promise.
bool exact_is_dense(const std::vector<ModeRun>& runs);

// Cells of a table: the speed, the same as a multiple of dense's, the share of KV read, the
// accepted drafts, and how far the tokens are dense's. What does not apply is "-".
std::string speed_cell(const ModeRun& run);
std::string speed_up_cell(const ModeRun& run, const ModeRun* dense);
std::string read_cell(const ModeRun& run);
std::string drafts_cell(const ModeRun& run);
std::string as_dense_cell(const ModeRun& run);

// What every run has, for a JSON document.
nlohmann::ordered_json to_json(const ModeRun& run);

}  // namespace longhaul
