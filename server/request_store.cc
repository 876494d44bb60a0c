#include "server/request_store.h"

#include <sqlite3.h>

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

// One statement: values are bound and columns read from left to right.
class RequestStore::Statement {
 public:
  Statement(const RequestStore& store, const std::string& sql) : store_(store) {
    is_good_ = sqlite3_prepare_v2(store.db_, sql.c_str(), -1, &statement_, nullptr) == SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& operator<<(const std::string& text) {
    return bound(sqlite3_bind_text64(statement_, ++n_bound_, text.data(), text.size(),
                                     SQLITE_STATIC, SQLITE_UTF8));
  }
  Statement& operator<<(int64_t number) {
    return bound(sqlite3_bind_int64(statement_, ++n_bound_, number));
  }
  Statement& operator<<(std::span<const std::byte> bytes) {
    ++n_bound_;
    if (bytes.empty()) return bound(sqlite3_bind_zeroblob(statement_, n_bound_, 0));  // not NULL
    return bound(
        sqlite3_bind_blob64(statement_, n_bound_, bytes.data(), bytes.size(), SQLITE_STATIC));
  }
  // The next row. False: there is none, or an error.
  bool step() {
    n_read_ = 0;
    const int code = is_good_ ? sqlite3_step(statement_) : SQLITE_ERROR;
    is_good_ = code == SQLITE_ROW || code == SQLITE_DONE;
    return code == SQLITE_ROW;
  }
  Status run() {
    step();
    return status();
  }
  Status status() const {
    if (is_good_) return {};
    return tl::unexpected<Error>(store_.failed());
  }

  int64_t number() { return sqlite3_column_int64(statement_, n_read_++); }
  std::string bytes() {
    const void* const data = sqlite3_column_blob(statement_, n_read_);
    const auto n = static_cast<size_t>(sqlite3_column_bytes(statement_, n_read_++));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), n);
  }
  StoredRequest request() {
    StoredRequest request;
    request.owner = bytes();
    request.id = bytes();
    request.model = bytes();
    request.created = number();
    request.path = bytes();
    request.body = bytes();
    request.seed = static_cast<uint64_t>(number());
    request.state = static_cast<RequestState>(number());
    const std::string tokens = bytes();
    request.tokens.resize(tokens.size() / sizeof(int32_t));
    if (!tokens.empty()) std::memcpy(request.tokens.data(), tokens.data(), tokens.size());
    request.n_resumable = static_cast<size_t>(number());
    request.is_stream = number() != 0;
    request.status = static_cast<unsigned>(number());
    request.answer = bytes();
    return request;
  }

 private:
  Statement& bound(int code) {
    is_good_ &= code == SQLITE_OK;
    return *this;
  }

  const RequestStore& store_;
  sqlite3_stmt* statement_ = nullptr;
  int n_bound_ = 0, n_read_ = 0;
  bool is_good_ = true;
};

Result<std::unique_ptr<RequestStore>> RequestStore::open(const std::string& path) {
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<RequestStore> store(new RequestStore(db, path));
  if (code != SQLITE_OK) return tl::unexpected<Error>(store->failed());
  LH_RETURN_IF_ERROR(store->create());
  return store;
}

RequestStore::~RequestStore() { sqlite3_close(db_); }

// What a killed process leaves behind is whole: a log ahead of the file, and transactions.
Status RequestStore::create() {
  LH_RETURN_IF_ERROR(execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
  Statement version(*this, "PRAGMA user_version");
  const int64_t found = version.step() ? version.number() : -1;
  LH_RETURN_IF_ERROR(version.status());
  if (found != 0 && found != kVersion) {
    return bad_input("{}: expected a file of requests of version {}, found version {}", path_,
                     kVersion, found);
  }
  LH_RETURN_IF_ERROR(execute(kTable));
  return execute(fmt::format("PRAGMA user_version = {}", kVersion).c_str());
}

Status RequestStore::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return tl::unexpected<Error>(failed());
}

Error RequestStore::failed() const {
  return {ErrorCode::kIo, fmt::format("{}: {}", path_.empty() ? "requests in memory" : path_,
                                      db_ == nullptr ? "no memory" : sqlite3_errmsg(db_))};
}

Status RequestStore::insert(const StoredRequest& r) {
  const std::lock_guard lock(mutex_);
  Statement insert(
      *this, fmt::format("INSERT INTO requests ({}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", kColumns));
  insert << r.owner << r.id << r.model << r.created << r.path << r.body
         << static_cast<int64_t>(r.seed) << static_cast<int64_t>(r.state)
         << std::as_bytes(std::span(r.tokens)) << static_cast<int64_t>(r.n_resumable)
         << static_cast<int64_t>(r.is_stream) << static_cast<int64_t>(r.status)
         << std::as_bytes(std::span(r.answer));
  return insert.run();
}

Status RequestStore::mark(const std::vector<StoredRequest>& requests) {
  const std::lock_guard lock(mutex_);
  LH_RETURN_IF_ERROR(execute("BEGIN"));
  for (const StoredRequest& r : requests) {
    Statement mark(*this,
                   "UPDATE requests SET tokens = ?, n_resumable = ? WHERE owner = ? AND id = ?");
    mark << std::as_bytes(std::span(r.tokens)) << static_cast<int64_t>(r.n_resumable) << r.owner
         << r.id;
    if (Status status = mark.run(); !status) {
      (void)execute("ROLLBACK");
      return status;
    }
  }
  return execute("COMMIT");
}

Status RequestStore::finish(const StoredRequest& r) {
  const std::lock_guard lock(mutex_);
  Statement finish(*this,
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
  Statement remove(*this, "DELETE FROM requests WHERE owner = ? AND id = ?");
  remove << owner << id;
  return remove.run();
}

Result<std::optional<StoredRequest>> RequestStore::find(const std::string& owner,
                                                        const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement find(*this,
                 fmt::format("SELECT {} FROM requests WHERE owner = ? AND id = ?", kColumns));
  find << owner << id;
  std::optional<StoredRequest> found;
  if (find.step()) found = find.request();
  LH_RETURN_IF_ERROR(find.status());
  return found;
}

Result<std::vector<RequestStore::Entry>> RequestStore::list(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  Statement list(*this,
                 fmt::format("SELECT id, created, path, state, status, length(tokens), {} FROM "
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
  Statement running(
      *this, fmt::format("SELECT {} FROM requests WHERE state = {} ORDER BY created, id", kColumns,
                         static_cast<int>(RequestState::kRunning)));
  std::vector<StoredRequest> requests;
  while (running.step()) requests.push_back(running.request());
  LH_RETURN_IF_ERROR(running.status());
  return requests;
}

Result<size_t> RequestStore::n_bytes() {
  Statement sum(*this, fmt::format("SELECT total({}) FROM requests", kBytes));
  const int64_t found = sum.step() ? sum.number() : 0;
  LH_RETURN_IF_ERROR(sum.status());
  return static_cast<size_t>(found);
}

Result<size_t> RequestStore::trim(size_t max_bytes) {
  const std::lock_guard lock(mutex_);
  LH_ASSIGN_OR_RETURN(size_t n_kept, n_bytes());
  while (n_kept > max_bytes) {
    Statement oldest(*this, fmt::format("DELETE FROM requests WHERE rowid = (SELECT rowid FROM "
                                        "requests WHERE state != {} ORDER BY created, id LIMIT 1)",
                                        static_cast<int>(RequestState::kRunning)));
    LH_RETURN_IF_ERROR(oldest.run());
    if (sqlite3_changes(db_) == 0) break;
    LH_ASSIGN_OR_RETURN(n_kept, n_bytes());
  }
  return n_kept;
}

}  // namespace longhaul
