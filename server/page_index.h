// What is known of the pages in a folder beside their files: a table in SQLite. It saves opening
// them all when the server starts and keeps which were used last; what it does not have is found in
// the files, so that it may be lost.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/page_key.h"
#include "server/sqlite.h"

namespace longhaul {

struct PageRow {
  PageKey key = {};
  uint32_t first = 0;  // token
  uint64_t used = 0;   // when, in uses of the folder
};

// By one thread at a time.
class PageIndex {
 public:
  // Creates the file if there is none. Error: it cannot be opened, or is no file of this kind and
  // version.
  static Result<std::unique_ptr<PageIndex>> open(const std::string& path);

  Result<std::vector<PageRow>> rows() const;
  // Adds or replaces some rows and removes others, in transactions of at most kMostRows.
  Status apply(std::span<const PageRow> put, std::span<const PageKey> removed);
  // Of the file and of the log ahead of it.
  uint64_t n_bytes() const;

  // What a transaction may add to n_bytes() at most: every row may be on a page of the file of its
  // own that is split, and stands in the log and in the file.
  static constexpr size_t kMostRows = 32;
  static constexpr uint64_t kMostGrowth = 512 << 10;

 private:
  PageIndex(std::unique_ptr<SqliteFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  Status put_rows(std::span<const PageRow> rows);
  Status remove_rows(std::span<const PageKey> keys);

  const std::unique_ptr<SqliteFile> file_;
  const std::string path_;
};

// The names of the files of an index, whole or not.
std::vector<std::string> index_files(const std::string& path);

}  // namespace longhaul
