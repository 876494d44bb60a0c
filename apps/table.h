// A table of text cells, aligned for a terminal or as Markdown (which is aligned too).
#pragma once

#include <string>
#include <vector>

namespace longhaul {

class Table {
 public:
  // Column titles; a title that begins with '>' is of a column aligned to the right.
  explicit Table(std::vector<std::string> titles);

  // One cell per column.
  void add(std::vector<std::string> cells);

  // Lines without a trailing blank, each ending in a newline.
  std::string plain() const;
  std::string markdown() const;

 private:
  std::string line(const std::vector<std::string>& cells, const char* separator) const;

  std::vector<std::vector<std::string>> rows_;  // the first one holds the titles
  std::vector<bool> right_;                     // [n_columns]
  std::vector<size_t> widths_;                  // [n_columns] characters
};

}  // namespace longhaul
