#include "server/page_index.h"

#include <sys/stat.h>

#include <cstring>

#include "base/result.h"

namespace longhaul {
namespace {

constexpr int kVersion = 1;
constexpr const char* kTable = R"(
  CREATE TABLE IF NOT EXISTS pages (
    key BLOB PRIMARY KEY NOT NULL, first INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID)";

// One file with a log ahead of it, which begins anew with every transaction. Nobody else looks at
// it (the folder has a lock), so that it needs no memory shared between processes, and nothing waits
// for the disk: what a crash of the system takes away is found in the files of the pages.
constexpr const char* kHow =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
    "PRAGMA wal_autocheckpoint = 1";

}  // namespace

std::vector<std::string> index_files(const std::string& path) {
  return {path, path + "-wal", path + "-shm", path + "-journal"};
}

Result<std::unique_ptr<PageIndex>> PageIndex::open(const std::string& path) {
  LH_ASSIGN_OR_RETURN(auto file, SqliteFile::open(path, path));
  LH_RETURN_IF_ERROR(file->execute(kHow));
  LH_RETURN_IF_ERROR(file->create(kTable, kVersion, "an index of pages"));
  return std::unique_ptr<PageIndex>(new PageIndex(std::move(file), path));
}

Result<std::vector<PageRow>> PageIndex::rows() const {
  SqliteStatement read(*file_, "SELECT key, first, used FROM pages");
  std::vector<PageRow> rows;
  while (read.step()) {
    PageRow row;
    const std::string key = read.bytes();
    row.first = static_cast<uint32_t>(read.number());
    row.used = static_cast<uint64_t>(read.number());
    if (key.size() != row.key.size()) continue;  // not ours
    std::memcpy(row.key.data(), key.data(), key.size());
    rows.push_back(row);
  }
  LH_RETURN_IF_ERROR(read.status());
  return rows;
}

Status PageIndex::put_rows(std::span<const PageRow> rows) {
  SqliteStatement put(*file_, "INSERT OR REPLACE INTO pages (key, first, used) VALUES (?,?,?)");
  for (const PageRow& row : rows) {
    put << std::span<const std::byte>(row.key) << static_cast<int64_t>(row.first)
        << static_cast<int64_t>(row.used);
    LH_RETURN_IF_ERROR(put.run());
    put.reset();
  }
  return {};
}

Status PageIndex::remove_rows(std::span<const PageKey> keys) {
  SqliteStatement remove(*file_, "DELETE FROM pages WHERE key = ?");
  for (const PageKey& key : keys) {
    remove << std::span<const std::byte>(key);
    LH_RETURN_IF_ERROR(remove.run());
    remove.reset();
  }
  return {};
}

Status PageIndex::apply(std::span<const PageRow> put, std::span<const PageKey> removed) {
  while (!put.empty() || !removed.empty()) {
    const size_t n_removed = std::min(removed.size(), kMostRows);
    const size_t n_put = std::min(put.size(), kMostRows - n_removed);
    LH_RETURN_IF_ERROR(file_->execute("BEGIN"));
    Status status = remove_rows(removed.first(n_removed));
    if (status) status = put_rows(put.first(n_put));
    if (status) status = file_->execute("COMMIT");
    if (!status) {
      (void)file_->execute("ROLLBACK");
      return status;
    }
    removed = removed.subspan(n_removed);
    put = put.subspan(n_put);
  }
  return {};
}

uint64_t PageIndex::n_bytes() const {
  uint64_t n = 0;
  for (const std::string& path : index_files(path_)) {
    struct stat found = {};
    if (::stat(path.c_str(), &found) == 0) n += static_cast<uint64_t>(found.st_size);
  }
  return n;
}

}  // namespace longhaul
