// Requests that outlive their clients and the process: one SQLite file, or memory.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "longhaul/result.h"
#include "server/sqlite.h"

namespace longhaul {

enum class RequestState { kRunning, kDone, kFailed, kCancelled };
std::string_view to_string(RequestState state);

struct StoredRequest {
  std::string owner;  // whose it is: a fingerprint of the key; empty without keys
  std::string id;     // by the client; of each owner's once
  std::string model;  // names the weights and what else the tokens depend on
  int64_t created = 0;
  std::string path, body;  // as asked
  uint64_t seed = 0;
  RequestState state = RequestState::kRunning;
  std::vector<int32_t> tokens;  // said so far
  size_t n_resumable = 0;       // of them, see GenerateRequest::on_mark
  // Once it is over:
  bool is_stream = false;
  unsigned status = 0;  // of the reply, or of the error
  std::string answer;   // the reply's body, or all events of the stream
};

// May be used by several threads at once. Every error names the file.
class RequestStore {
 public:
  // Creates the file if there is none; an empty path: in memory. Error: it cannot be opened, or is
  // no file of this kind and version.
  static Result<std::unique_ptr<RequestStore>> open(const std::string& path);

  Status insert(const StoredRequest& request);
  // Its tokens and n_resumable; all of them in one transaction.
  Status mark(const std::vector<StoredRequest>& requests);
  // Its state, status and answer.
  Status finish(const StoredRequest& request);
  Status remove(const std::string& owner, const std::string& id);
  Result<std::optional<StoredRequest>> find(const std::string& owner, const std::string& id);
  // Of one owner, the newest first, without bodies, answers and tokens but for their number.
  struct Entry {
    StoredRequest request;
    size_t n_tokens = 0, n_bytes = 0;
  };
  Result<std::vector<Entry>> list(const std::string& owner);
  Result<std::vector<StoredRequest>> running();  // of all owners, the oldest first
  // Removes what was over first until no more than max_bytes are kept. Returns the bytes kept: more
  // where all of it runs.
  Result<size_t> trim(size_t max_bytes);

 private:
  explicit RequestStore(std::unique_ptr<SqliteFile> file) : file_(std::move(file)) {}
  Result<size_t> n_bytes();

  const std::unique_ptr<SqliteFile> file_;
  std::mutex mutex_;
};

}  // namespace longhaul
