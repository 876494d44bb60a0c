#include "apps/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"

namespace longhaul {
namespace {

// What a terminal shows of the texts we print.
size_t width(const std::string& text) { return n_characters(text); }

std::string trim_right(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

Table::Table(std::vector<std::string> titles) : widths_(titles.size(), 0) {
  for (std::string& title : titles) {
    right_.push_back(title.starts_with('>'));
    if (right_.back()) title.erase(0, 1);
  }
  add(std::move(titles));
}

void Table::add(std::vector<std::string> cells) {
  LH_CHECK(cells.size() == widths_.size());
  for (size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], width(cells[i]));
  rows_.push_back(std::move(cells));
}

std::string Table::line(const std::vector<std::string>& cells, const char* separator) const {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths_[i] - width(cells[i]), ' ');
    text += (i == 0 ? "" : separator) + (right_[i] ? padding + cells[i] : cells[i] + padding);
  }
  return text;
}

std::string Table::plain() const {
  std::string text;
  for (const auto& row : rows_) text += trim_right(line(row, "  ")) + "\n";
  return text;
}

std::string Table::markdown() const {
  std::string text = fmt::format("| {} |\n|", line(rows_.front(), " | "));
  for (size_t i = 0; i < widths_.size(); ++i) {
    text += fmt::format("{:-<{}}{}|", "", widths_[i] + 1, right_[i] ? ':' : '-');
  }
  text += "\n";
  for (size_t r = 1; r < rows_.size(); ++r) text += fmt::format("| {} |\n", line(rows_[r], " | "));
  return text;
}

}  // namespace longhaul
