// A long document continued in each mode: what `demo --text` runs and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/mode_run.h"

namespace longhaul {

struct DemoText {
  std::string name;     // of the document
  size_t n_prompt = 0;  // tokens
  std::vector<ModeRun> runs;
};

// Continues the text greedily by at most n_tokens tokens in each mode.
Result<DemoText> run_text(Engine& engine, std::string name, const std::string& text,
                          size_t n_tokens, const JobOptions& options, const Interrupt& interrupt);

// A table with a line per mode; then what dense says, and for each mode that says otherwise both
// texts side by side from where they part.
std::string report(const DemoText& demo);
nlohmann::ordered_json to_json(const DemoText& demo);

// Two texts in columns of `width` characters with words kept whole where they fit, at most n_lines
// lines; "…" ends a column that has more.
std::string side_by_side(const std::string& left, const std::string& right, size_t width,
                         size_t n_lines);

}  // namespace longhaul
