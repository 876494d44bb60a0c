#include "server/sqlite.h"

#include <sqlite3.h>

#include "base/result.h"

namespace longhaul {

Result<std::unique_ptr<SqliteFile>> SqliteFile::open(const std::string& path,
                                                     const std::string& name) {
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<SqliteFile> file(new SqliteFile(db, path.empty() ? name : path));
  if (code != SQLITE_OK) return tl::unexpected<Error>(file->failed());
  return file;
}

SqliteFile::~SqliteFile() { sqlite3_close(db_); }

Status SqliteFile::execute(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return tl::unexpected<Error>(failed());
}

Status SqliteFile::create(const std::string& table, int version, const std::string& what) {
  SqliteStatement read(*this, "PRAGMA user_version");
  const int64_t found = read.step() ? read.number() : -1;
  LH_RETURN_IF_ERROR(read.status());
  if (found != 0 && found != version) {
    return bad_input("{}: expected {} of version {}, found version {}", name_, what, version,
                     found);
  }
  LH_RETURN_IF_ERROR(execute(table));
  return execute(fmt::format("PRAGMA user_version = {}", version));
}

size_t SqliteFile::n_changed() const { return static_cast<size_t>(sqlite3_changes(db_)); }

Error SqliteFile::failed() const {
  return {ErrorCode::kIo,
          fmt::format("{}: {}", name_, db_ == nullptr ? "no memory" : sqlite3_errmsg(db_))};
}

SqliteStatement::SqliteStatement(const SqliteFile& file, const std::string& sql) : file_(file) {
  is_good_ = sqlite3_prepare_v2(file_.db_, sql.c_str(), -1, &statement_, nullptr) == SQLITE_OK;
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::operator<<(const std::string& text) {
  return bound(sqlite3_bind_text64(statement_, ++n_bound_, text.data(), text.size(), SQLITE_STATIC,
                                   SQLITE_UTF8));
}

SqliteStatement& SqliteStatement::operator<<(int64_t number) {
  return bound(sqlite3_bind_int64(statement_, ++n_bound_, number));
}

SqliteStatement& SqliteStatement::operator<<(std::span<const std::byte> bytes) {
  ++n_bound_;
  if (bytes.empty()) return bound(sqlite3_bind_zeroblob(statement_, n_bound_, 0));  // not NULL
  return bound(
      sqlite3_bind_blob64(statement_, n_bound_, bytes.data(), bytes.size(), SQLITE_STATIC));
}

bool SqliteStatement::step() {
  n_read_ = 0;
  const int code = is_good_ ? sqlite3_step(statement_) : SQLITE_ERROR;
  is_good_ = code == SQLITE_ROW || code == SQLITE_DONE;
  return code == SQLITE_ROW;
}

Status SqliteStatement::run() {
  step();
  return status();
}

Status SqliteStatement::status() const {
  if (is_good_) return {};
  return tl::unexpected<Error>(file_.failed());
}

void SqliteStatement::reset() {
  n_bound_ = 0;
  is_good_ &= sqlite3_reset(statement_) == SQLITE_OK;
}

int64_t SqliteStatement::number() { return sqlite3_column_int64(statement_, n_read_++); }

std::string SqliteStatement::bytes() {
  const void* const data = sqlite3_column_blob(statement_, n_read_);
  const auto n = static_cast<size_t>(sqlite3_column_bytes(statement_, n_read_++));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), n);
}

SqliteStatement& SqliteStatement::bound(int code) {
  is_good_ &= code == SQLITE_OK;
  return *this;
}

}  // namespace longhaul
