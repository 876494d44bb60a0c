// A file of SQLite and statements on it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "longhaul/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace longhaul {

// By one thread at a time. Every error names the file.
class SqliteFile {
 public:
  // Creates the file if there is none; an empty path: in memory, as `name` in messages.
  static Result<std::unique_ptr<SqliteFile>> open(const std::string& path, const std::string& name);
  ~SqliteFile();
  SqliteFile(const SqliteFile&) = delete;
  SqliteFile& operator=(const SqliteFile&) = delete;

  const std::string& name() const { return name_; }
  Status execute(const std::string& sql);
  // Makes `table` where there is none yet. Error: the file is of another version, or of another
  // kind than `what`.
  Status create(const std::string& table, int version, const std::string& what);
  size_t n_changed() const;  // rows, by the last statement
  // What SQLite says was wrong last.
  Error failed() const;

 private:
  friend class SqliteStatement;
  SqliteFile(sqlite3* db, std::string name) : db_(db), name_(std::move(name)) {}

  sqlite3* const db_;
  const std::string name_;
};

// One statement: values are bound and columns read from left to right. Bound bytes must outlive it.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteFile& file, const std::string& sql);
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  SqliteStatement& operator<<(const std::string& text);
  SqliteStatement& operator<<(int64_t number);
  SqliteStatement& operator<<(std::span<const std::byte> bytes);
  // The next row. False: there is none, or an error.
  bool step();
  Status run();
  Status status() const;
  // To be bound and run again.
  void reset();

  int64_t number();
  std::string bytes();

 private:
  SqliteStatement& bound(int code);

  const SqliteFile& file_;
  sqlite3_stmt* statement_ = nullptr;
  int n_bound_ = 0, n_read_ = 0;
  bool is_good_ = true;
};

}  // namespace longhaul
