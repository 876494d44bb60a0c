// The summary as tables of text: for the terminal and the HTML report.
#pragma once

#include <string>
#include <vector>

#include "apps/eval/summary.h"

namespace longhaul::eval {

struct TableText {
  std::string title;
  std::vector<std::string> columns;  // as Table takes them: '>' begins a column aligned right
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;  // note i stands behind cells as "[i + 1]"
};

// A table per measure, with something in it.
std::vector<TableText> tables(const Summary& summary);

// All tables for a terminal.
std::string plain_text(const std::vector<TableText>& tables);

}  // namespace longhaul::eval
