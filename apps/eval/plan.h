// What an evaluation is asked to do, before anything is loaded: tasks, measures and the settings to
// compare.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul::eval {

// What is measured. Answers are generated and judged; the others run a fixed text (an item's right
// answer) through the mode token by token.
enum class Measure { kAnswers, kForced, kRecall };
std::string_view to_string(Measure measure);
Result<Measure> parse_measure(std::string_view name);

// The names of texts that are no tasks of tasks/: seeded windows, and all of a file in strides.
inline constexpr std::string_view kText = "text";
inline constexpr std::string_view kPerplexity = "perplexity";

struct Plan {
  EngineOptions engine;
  std::vector<std::string> tasks;
  std::vector<std::string> questions;  // JSONL files
  size_t n_shots = 0;                  // last lines of each, shown before every question
  std::string check;                   // of their answers; empty: by the file
  std::string text_file;               // of `text` and `perplexity`
  std::vector<Measure> measures = {Measure::kAnswers};
  std::vector<size_t> lengths = {1024};  // tokens of prompt and right answer
  std::vector<double> depths = {0, 0.25, 0.5, 0.75, 1};
  size_t n_items = 20;
  size_t n_queries = 1;
  size_t stride = 0;      // perplexity: tokens scored per window; 0: half the window
  size_t n_windows = 0;   // perplexity: 0: all
  size_t n_score = 256;   // forced, recall: at most so many tokens of an answer
  size_t max_tokens = 0;  // of an answer; 0: the right answer's and a few more
  size_t seed = 1;
  bool chat = false;

  std::vector<AttentionMode> modes = {AttentionMode::kDense, AttentionMode::kSparse,
                                      AttentionMode::kResa, AttentionMode::kExact};
  std::vector<std::string> selectors;   // empty: gate if there are gates, else the default
  std::vector<std::string> gate_paths;  // at most one for each block size
  std::vector<double> ratios;           // both empty: the default ratio
  std::vector<size_t> token_budgets;
  std::vector<double> gate_thresholds;  // of the selector gate, beside the budgets
  std::vector<size_t> block_sizes;      // empty: those of the gates, or 16
  std::vector<size_t> periods = {32};
  std::vector<RectifyKind> rectify = {RectifyKind::kDense};
  std::vector<KvType> kv_types = {KvType::kF16};
  AttentionOptions attention;  // what is not listed: least, local and sink blocks

  // These do not change any result.
  std::string out;
  bool json = false;
  size_t n_wrong = 0;  // items that are listed
  size_t n_jobs = 0;   // items at once; 0: chosen by the size of the model

  bool measures_any(Measure measure) const;
  // The gate file for a block size; empty: none. For a settled plan.
  std::string gates_for(size_t block_size) const;

  std::map<size_t, std::string> gates;  // by block size, see settle_gates()
};

// Fills in which gates serve which block size, and the selectors and block sizes that were not
// asked for. Error: a gate file that cannot be read, two for one block size, or the selector gate
// with a block size that has none.
Status settle_gates(Plan& plan);

// Everything that decides results, by option name: what an --out directory is checked against.
nlohmann::ordered_json to_json(const Plan& plan);

}  // namespace longhaul::eval
