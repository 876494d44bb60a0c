// Requests that go on without their clients. A request that names itself (Longhaul-Request-Id) is
// written down before it runs; its client may leave and come back, to this process or the next.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "server/recording.h"
#include "server/request_store.h"

namespace longhaul {

struct Call;
struct Route;
struct Services;
// Answers through the call's exchange, now or later; an error is answered by who called.
using Endpoint = ApiStatus (*)(Services& services, Call& call);

// What an endpoint needs to make of a request what it was the first time.
struct KeptCall {
  std::string id;
  int64_t created = 0;
  uint64_t seed = 0;             // where the request has none
  std::vector<int32_t> resumed;  // the beginning of the answer, from a process before this one
  bool is_resumed = false;       // by this process: it was taken once and is not refused now
  std::function<void(std::span<const int32_t> tokens, size_t n_resumable)> on_mark;
};

class KeptRequests {
 public:
  struct Options {
    std::string path;      // a file; empty: only as long as the process
    size_t max_bytes = 0;  // of all requests and answers; the oldest that are over go first
    std::string model;     // answers of other models are not gone on with
    std::vector<std::string> keys;
    std::function<void(std::string_view)> log;
  };
  static Result<std::unique_ptr<KeptRequests>> open(const Options& options);
  // Waits for clients that follow: they must be gone, or the answers over.
  ~KeptRequests();

  // Runs the endpoint for a call with a request id, whose client then follows the answer; or, where
  // that id is there already, lets the client follow. Error: an id that is none, or of another
  // request.
  ApiStatus run(Services& services, Call& call, Endpoint endpoint);
  // The same, and nobody follows. Error: also what the endpoint refuses; then nothing
  // is kept.
  ApiStatus run_apart(Services& services, Call& call, Endpoint endpoint);
  // The way back for a call without an id of its own, whose answer is kept under this one once it is
  // over.
  std::shared_ptr<Exchange> keep_answer(const Call& call, const std::string& id, int64_t created);
  // Goes on with what a process before this one left, by the routes that `find` knows.
  void resume(Services& services, const std::function<const Route*(const std::string& path)>& find);
  // From now on what is broken off is left for the next process.
  void stop();

  // For the endpoints that look at requests; owners by the number of their key.
  Result<std::optional<StoredRequest>> stored(size_t owner, const std::string& id);
  Result<std::vector<RequestStore::Entry>> list(size_t owner);
  Result<std::optional<RequestStore::Entry>> find(size_t owner, const std::string& id);
  // False: there is no such request.
  Result<bool> follow(size_t owner, const std::string& id, size_t after,
                      std::shared_ptr<Exchange> client);
  Result<bool> cancel(size_t owner, const std::string& id);
  Result<bool> remove(size_t owner, const std::string& id);

 private:
  using Key = std::pair<std::string, std::string>;  // owner, id
  struct Running {
    StoredRequest request;  // its tokens, as last said
    bool has_news = false;  // since they were written
    std::shared_ptr<Recording> recording;
  };

  KeptRequests(const Options& options, std::unique_ptr<RequestStore> store);
  std::string owner_name(size_t owner) const;
  // Whether the same request came before. Error: its id is none, or that of another one.
  tl::expected<bool, ApiError> was_taken(const Call& call);
  // Writes a new request down. Error: there is no room.
  tl::expected<StoredRequest, ApiError> accept(const Call& call, const std::string& owner);
  // `follower`: who follows the answer from event `after` on; null: nobody.
  ApiStatus start(Services& services, Call& call, Endpoint endpoint, StoredRequest request,
                  bool is_resumed, std::shared_ptr<Exchange> follower, size_t after = 0);
  void marked(const Key& key, std::span<const int32_t> tokens, size_t n_resumable);
  void ended(const Key& key, const RecordedAnswer& answer, const ApiError* error);
  void follow_by_thread(std::shared_ptr<Recording> recording, size_t after,
                        std::shared_ptr<Exchange> client);
  void write_marks(const std::stop_token& stop);
  void check(const Status& status) const;

  const Options options_;
  const std::unique_ptr<RequestStore> store_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::map<Key, Running> running_;
  bool is_stopping_ = false;
  struct Follower;
  std::list<Follower> followers_;
  std::jthread writer_;  // the last one: it uses the others
};

}  // namespace longhaul
