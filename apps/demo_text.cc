#include "apps/demo_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/table.h"
#include "base/result.h"
#include "base/utf8.h"

namespace longhaul {
namespace {

constexpr size_t kWidth = 38;  // of a column: two fill a terminal of 80
constexpr size_t kLines = 10;
constexpr size_t kBefore = 40;  // bytes, at most, that both have in common, for context

// The bytes of the first n characters.
size_t bytes_of(std::string_view text, size_t n) {
  size_t at = 0;
  while (at < text.size() && (n > 0 || continues_character(text[at]))) {
    if (!continues_character(text[at])) --n;
    ++at;
  }
  return at;
}

// Lines of at most `width` characters, broken at blanks where a word fits a line.
std::vector<std::string> wrapped(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    const size_t fits = bytes_of(line, width);
    size_t n_next = line.size() + 1;  // and the line's end
    if (fits < line.size()) {
      const size_t blank = line.substr(0, fits + 1).rfind(' ');
      const bool whole = blank != std::string_view::npos && blank > 0;
      n_next = whole ? blank + 1 : fits;
      line = line.substr(0, whole ? blank : fits);
    }
    lines.emplace_back(line);
    text.remove_prefix(std::min(n_next, text.size()));
  }
  return lines;
}

// At most n lines, of which the last says if there were more.
std::vector<std::string> first_lines(std::vector<std::string> lines, size_t n) {
  if (lines.size() <= n) return lines;
  lines.resize(n - 1);
  lines.emplace_back("…");
  return lines;
}

// Where two texts part, a few words before the first difference.
size_t shown_from(const std::string& a, const std::string& b) {
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const auto parts = static_cast<size_t>(differ.first - a.begin());
  size_t from = parts > kBefore ? parts - kBefore : 0;
  const size_t blank = a.find(' ', from);
  if (from > 0 && blank < parts) from = blank + 1;
  while (from > 0 && from < a.size() && continues_character(a[from])) --from;
  return from;
}

std::string indented(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line.empty() ? "\n" : "  " + line + "\n";
  return out;
}

std::string compared(const ModeRun& run, const ModeRun& dense) {
  const std::string name(to_string(run.mode));
  if (run.same_as_dense) {
    return fmt::format("{}: the same {} tokens as dense\n", name, run.result.tokens.size());
  }
  const std::string& text = run.result.text;
  const std::string& other = dense.result.text;
  const size_t from = shown_from(other, text);
  const bool is_bug = run.mode == AttentionMode::kExact;
  return fmt::format("{}: parts from dense after {} tokens{} (left dense, right {})\n", name,
                     run.n_as_dense, is_bug ? ", THIS IS A BUG IN THE ENGINE" : "", name) +
         side_by_side(other.substr(from), text.substr(from), kWidth, kLines);
}

}  // namespace

std::string side_by_side(const std::string& left, const std::string& right, size_t width,
                         size_t n_lines) {
  const auto a = first_lines(wrapped(left, width), n_lines);
  const auto b = first_lines(wrapped(right, width), n_lines);
  std::string out;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    std::string line = i < a.size() ? a[i] : "";
    line.append(width + 2 - std::min(width, n_characters(line)), ' ');
    line += i < b.size() ? b[i] : "";
    line.erase(line.find_last_not_of(' ') + 1);
    out += line.empty() ? "\n" : "  " + line + "\n";
  }
  return out;
}

Result<DemoText> run_text(Engine& engine, std::string name, const std::string& text,
                          size_t n_tokens, const JobOptions& options, const Interrupt& interrupt) {
  DemoText demo{std::move(name), 0, {}};
  LH_ASSIGN_OR_RETURN(const auto prompt, engine.tokenize(text, true, false));
  demo.n_prompt = prompt.size();
  LH_ASSIGN_OR_RETURN(demo.runs,
                      run_modes(engine, demo.name, prompt, n_tokens, options, interrupt));
  return demo;
}

std::string report(const DemoText& demo) {
  std::string text = fmt::format("{}: {} tokens, continued greedily\n\n", demo.name, demo.n_prompt);
  Table table(
      {"mode", ">tokens", ">tokens/s", ">to dense", ">KV read", ">drafts accepted", "as dense"});
  const ModeRun* dense = find_run(demo.runs, AttentionMode::kDense);
  for (const ModeRun& run : demo.runs) {
    table.add({std::string(to_string(run.mode)), fmt::format("{}", run.result.tokens.size()),
               speed_cell(run), speed_up_cell(run, dense), read_cell(run), drafts_cell(run),
               dense == nullptr ? "-" : as_dense_cell(run)});
  }
  text += table.plain();
  if (dense == nullptr) return text;
  text +=
      "\ndense goes on\n" + indented(first_lines(wrapped(dense->result.text, 2 * kWidth), kLines));
  for (const ModeRun& run : demo.runs) {
    if (&run != dense) text += "\n" + compared(run, *dense);
  }
  return text;
}

nlohmann::ordered_json to_json(const DemoText& demo) {
  nlohmann::ordered_json json = {{"text", demo.name},
                                 {"prompt_tokens", demo.n_prompt},
                                 {"exact_is_dense", exact_is_dense(demo.runs)},
                                 {"runs", nlohmann::ordered_json::array()}};
  for (const ModeRun& run : demo.runs) {
    json["runs"].push_back(to_json(run));
    json["runs"].back()["continuation"] = run.result.text;
  }
  return json;
}

}  // namespace longhaul
