#include "server/request_store.h"

#include <cstring>
#include <span>

#include "base/result.h"

namespace longhaul {
namespace {

constexpr int kVersion = 1;  // of the table, in the file's user_version
constexpr const char* kTable = R"(
  CREATE TABLE IF NOT EXISTS requests (
    owner TEXT NOT NULL, id TEXT NOT NULL, model TEXT NOT NULL, created INTEGER NOT NULL,
    path TEXT NOT NULL, body TEXT NOT NULL, seed INTEGER NOT NULL, state INTEGER NOT NULL,
    tokens BLOB NOT NULL, n_resumable INTEGER NOT NULL,
    is_stream INTEGER NOT NULL, status INTEGER NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (owner, id)))";
constexpr const char* kColumns =
    "owner, id, model, created, path, body, seed, state, tokens, n_resumable, is_stream, status, "
    "answer";
constexpr const char* kBytes = "length(body) + length(tokens) + length(answer)";

StoredRequest read_request(SqliteStatement& row) {
  StoredRequest request;
  request.owner = row.bytes();
  request.id = row.bytes();
  request.model = row.bytes();
  request.created = row.number();
  request.path = row.bytes();
  request.body = row.bytes();
  request.seed = static_cast<uint64_t>(row.number());
  request.state = static_cast<RequestState>(row.number());
  const std::string tokens = row.bytes();
  request.tokens.resize(tokens.size() / sizeof(int32_t));
  if (!tokens.empty()) std::memcpy(request.tokens.data(), tokens.data(), tokens.size());
  request.n_resumable = static_cast<size_t>(row.number());
  request.is_stream = row.number() != 0;
  request.status = static_cast<unsigned>(row.number());
  request.answer = row.bytes();
  return request;
}

}  // namespace

std::string_view to_string(RequestState state) {
  switch (state) {
    case RequestState::kRunning:
      return "running";
    case RequestState::kDone:
      return "done";
    case RequestState::kFailed:
      return "failed";
    case RequestState::kCancelled:
      break;
  }
  return "cancelled";
}

Result<std::unique_ptr<RequestStore>> RequestStore::open(const std::string& path) {
  LH_ASSIGN_OR_RETURN(auto file, SqliteFile::open(path, "requests in memory"));
  // What a killed process leaves behind is whole: a log ahead of the file, and transactions.
  LH_RETURN_IF_ERROR(file->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
  LH_RETURN_IF_ERROR(file->create(kTable, kVersion, "a file of requests"));
  return std::unique_ptr<RequestStore>(new RequestStore(std::move(file)));
}

Status RequestStore::insert(const StoredRequest& r) {
  const std::lock_guard lock(mutex_);
  SqliteStatement insert(
      *file_,
      fmt::format("INSERT INTO requests ({}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", kColumns));
  insert << r.owner << r.id << r.model << r.created << r.path << r.body
         << static_cast<int64_t>(r.seed) << static_cast<int64_t>(r.state)
         << std::as_bytes(std::span(r.tokens)) << static_cast<int64_t>(r.n_resumable)
         << static_cast<int64_t>(r.is_stream) << static_cast<int64_t>(r.status)
         << std::as_bytes(std::span(r.answer));
  return insert.run();
}

Status RequestStore::mark(const std::vector<StoredRequest>& requests) {
  const std::lock_guard lock(mutex_);
  LH_RETURN_IF_ERROR(file_->execute("BEGIN"));
  for (const StoredRequest& r : requests) {
    SqliteStatement mark(
        *file_, "UPDATE requests SET tokens = ?, n_resumable = ? WHERE owner = ? AND id = ?");
    mark << std::as_bytes(std::span(r.tokens)) << static_cast<int64_t>(r.n_resumable) << r.owner
         << r.id;
    if (Status status = mark.run(); !status) {
      (void)file_->execute("ROLLBACK");
      return status;
    }
  }
  return file_->execute("COMMIT");
}

Status RequestStore::finish(const StoredRequest& r) {
  const std::lock_guard lock(mutex_);
  SqliteStatement finish(
      *file_,
      "UPDATE requests SET state = ?, is_stream = ?, status = ?, answer = ?, tokens = "
      "?, n_resumable = ? WHERE owner = ? AND id = ?");
  finish << static_cast<int64_t>(r.state) << static_cast<int64_t>(r.is_stream)
         << static_cast<int64_t>(r.status) << std::as_bytes(std::span(r.answer))
         << std::as_bytes(std::span(r.tokens)) << static_cast<int64_t>(r.n_resumable) << r.owner
         << r.id;
  return finish.run();
}

Status RequestStore::remove(const std::string& owner, const std::string& id) {
  const std::lock_guard lock(mutex_);
  SqliteStatement remove(*file_, "DELETE FROM requests WHERE owner = ? AND id = ?");
  remove << owner << id;
  return remove.run();
}

Result<std::optional<StoredRequest>> RequestStore::find(const std::string& owner,
                                                        const std::string& id) {
  const std::lock_guard lock(mutex_);
  SqliteStatement find(*file_,
                       fmt::format("SELECT {} FROM requests WHERE owner = ? AND id = ?", kColumns));
  find << owner << id;
  std::optional<StoredRequest> found;
  if (find.step()) found = read_request(find);
  LH_RETURN_IF_ERROR(find.status());
  return found;
}

Result<std::vector<RequestStore::Entry>> RequestStore::list(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  SqliteStatement list(
      *file_, fmt::format("SELECT id, created, path, state, status, length(tokens), {} FROM "
                          "requests WHERE owner = ? ORDER BY created DESC, id",
                          kBytes));
  list << owner;
  std::vector<Entry> entries;
  while (list.step()) {
    Entry& entry = entries.emplace_back();
    entry.request.owner = owner;
    entry.request.id = list.bytes();
    entry.request.created = list.number();
    entry.request.path = list.bytes();
    entry.request.state = static_cast<RequestState>(list.number());
    entry.request.status = static_cast<unsigned>(list.number());
    entry.n_tokens = static_cast<size_t>(list.number()) / sizeof(int32_t);
    entry.n_bytes = static_cast<size_t>(list.number());
  }
  LH_RETURN_IF_ERROR(list.status());
  return entries;
}

Result<std::vector<StoredRequest>> RequestStore::running() {
  const std::lock_guard lock(mutex_);
  SqliteStatement running(
      *file_, fmt::format("SELECT {} FROM requests WHERE state = {} ORDER BY created, id", kColumns,
                          static_cast<int>(RequestState::kRunning)));
  std::vector<StoredRequest> requests;
  while (running.step()) requests.push_back(read_request(running));
  LH_RETURN_IF_ERROR(running.status());
  return requests;
}

Result<size_t> RequestStore::n_bytes() {
  SqliteStatement sum(*file_, fmt::format("SELECT total({}) FROM requests", kBytes));
  const int64_t found = sum.step() ? sum.number() : 0;
  LH_RETURN_IF_ERROR(sum.status());
  return static_cast<size_t>(found);
}

Result<size_t> RequestStore::trim(size_t max_bytes) {
  const std::lock_guard lock(mutex_);
  LH_ASSIGN_OR_RETURN(size_t n_kept, n_bytes());
  while (n_kept > max_bytes) {
    SqliteStatement oldest(*file_,
                           fmt::format("DELETE FROM requests WHERE rowid = (SELECT rowid FROM "
                                       "requests WHERE state != {} ORDER BY created, id LIMIT 1)",
                                       static_cast<int>(RequestState::kRunning)));
    LH_RETURN_IF_ERROR(oldest.run());
    if (file_->n_changed() == 0) break;
    LH_ASSIGN_OR_RETURN(n_kept, n_bytes());
  }
  return n_kept;
}

}  // namespace longhaul
