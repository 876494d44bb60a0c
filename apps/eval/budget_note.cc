#include "apps/eval/budget_note.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/selector.h"
#include "base/check.h"

namespace longhaul::eval {
namespace {

size_t n_blocks_of(const Setting& setting, size_t n_tokens) {
  return (n_tokens + setting.engine.block_size - 1) / setting.engine.block_size;
}

size_t n_selected(const Setting& setting, const AttentionOptions& options, size_t n_tokens) {
  const Selector* selector = find_selector(options.selector);
  LH_CHECK(selector != nullptr);
  return n_selected_blocks(options, *selector, n_blocks_of(setting, n_tokens),
                           setting.engine.block_size);
}

bool has_ratio(const AttentionOptions& options) {
  return options.gate_threshold == 0 && options.token_budget == 0;
}

// Of how many texts fewer blocks would be read without --min-blocks.
size_t n_floored(const Setting& setting, const std::vector<size_t>& lengths) {
  if (!has_ratio(setting.attention)) return 0;
  AttentionOptions without = setting.attention;
  without.min_blocks = 0;
  return static_cast<size_t>(std::count_if(lengths.begin(), lengths.end(), [&](size_t n_tokens) {
    return n_selected(setting, without, n_tokens) <
           n_selected(setting, setting.attention, n_tokens);
  }));
}

}  // namespace

bool reads_all(const Setting& setting, const std::vector<size_t>& lengths) {
  if (setting.is_dense()) return true;
  if (setting.attention.gate_threshold > 0) return false;
  return std::all_of(lengths.begin(), lengths.end(), [&](size_t n_tokens) {
    return n_selected(setting, setting.attention, n_tokens) >= n_blocks_of(setting, n_tokens);
  });
}

std::string budget_note(const Setting& setting, const std::vector<size_t>& lengths, bool all_read) {
  if (setting.is_dense() || lengths.empty()) return "";
  const AttentionOptions& options = setting.attention;
  const bool short_texts = reads_all(setting, lengths);
  if (all_read && options.mode == AttentionMode::kAuto && !short_texts) {
    return "100% read: auto never left dense";
  }
  const size_t floored = n_floored(setting, lengths);
  if (all_read) {
    return fmt::format(
        "100% read: the text is too short to tell{}",
        floored > 0 ? fmt::format("; --min-blocks {} covers it", options.min_blocks) : "");
  }
  if (floored == 0) return "";
  return fmt::format(
      "--min-blocks {} decided the budget of {} of {} items, where {} are fewer blocks",
      options.min_blocks, floored, lengths.size(), budget_name(options));
}

}  // namespace longhaul::eval
