#include "server/kept_requests.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <tuple>

#include "base/result.h"
#include "server/endpoints.h"
#include "server/kept_answer.h"

namespace longhaul {
namespace {

constexpr size_t kLongestId = 128;
constexpr auto kWriteEvery = std::chrono::milliseconds(500);

bool is_id(const std::string& id) {
  constexpr std::string_view kOthers = "-_.:";
  return !id.empty() && id.size() <= kLongestId && std::all_of(id.begin(), id.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

ApiError cancelled() {
  return {409, "cancelled_error", "the request was cancelled", {}, "cancelled"};
}

ApiError of_another_model() {
  return {409,
          "invalid_request_error",
          "the request was broken off, and this server has another model",
          {},
          "model_changed"};
}

// The process is at fault, or busy, and not the request: the same may be tried again.
bool is_passing(const ApiError& error) { return error.status == 429 || error.status >= 500; }

}  // namespace

struct KeptRequests::Follower {
  std::atomic<bool> is_done = false;
  std::jthread thread;
};

Result<std::unique_ptr<KeptRequests>> KeptRequests::open(const Options& options) {
  LH_ASSIGN_OR_RETURN(auto store, RequestStore::open(options.path));
  return std::unique_ptr<KeptRequests>(new KeptRequests(options, std::move(store)));
}

KeptRequests::KeptRequests(const Options& options, std::unique_ptr<RequestStore> store)
    : options_(options),
      store_(std::move(store)),
      writer_([this](const std::stop_token& stop) { write_marks(stop); }) {}

KeptRequests::~KeptRequests() {
  writer_.request_stop();
  writer_.join();
  followers_.clear();
}

void KeptRequests::stop() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
}

void KeptRequests::check(const Status& status) const {
  if (!status && options_.log) options_.log("kept requests: " + status.error().message);
}

std::string KeptRequests::owner_name(size_t owner) const {
  if (owner == 0) return {};
  const std::string& key = options_.keys[owner - 1];
  return fmt::format("{:016x}", XXH3_64bits(key.data(), key.size()));
}

tl::expected<bool, ApiError> KeptRequests::was_taken(const Call& call) {
  const std::string& id = call.request.request_id;
  if (!is_id(id)) {
    return tl::unexpected<ApiError>(
        ApiError{.message = fmt::format("Longhaul-Request-Id: expected 1 to {} letters, digits "
                                        "and any of -_.:, found {}",
                                        kLongestId, shown(id))});
  }
  const auto there = store_->find(owner_name(call.owner), id);
  if (!there) return tl::unexpected<ApiError>(to_api_error(there.error()));
  if (!*there) return false;
  if ((*there)->path == call.request.path && (*there)->body == call.request.body) return true;
  return tl::unexpected<ApiError>(
      ApiError{.status = 409,
               .message = "Longhaul-Request-Id: expected one of a new request, found that of "
                          "another one",
               .code = "request_id_taken"});
}

ApiStatus KeptRequests::run(Services& services, Call& call, Endpoint endpoint) {
  const std::string& id = call.request.request_id;
  const auto is_there = was_taken(call);
  if (!is_there) return refuse(is_there.error());
  if (*is_there) {
    const auto followed = follow(call.owner, id, call.request.last_event_id, call.exchange);
    if (!followed) return refuse(to_api_error(followed.error()));
    if (*followed) return {};
  }
  auto request = accept(call, owner_name(call.owner));
  if (!request) return refuse(std::move(request.error()));
  const std::shared_ptr<Exchange> client = call.exchange;
  // What the endpoint refuses the client hears by following.
  (void)start(services, call, endpoint, std::move(*request), /*is_resumed=*/false, client,
              call.request.last_event_id);
  return {};
}

ApiStatus KeptRequests::run_apart(Services& services, Call& call, Endpoint endpoint) {
  const auto is_there = was_taken(call);
  if (!is_there) return refuse(is_there.error());
  if (*is_there) return {};
  auto request = accept(call, owner_name(call.owner));
  if (!request) return refuse(std::move(request.error()));
  return start(services, call, endpoint, std::move(*request), /*is_resumed=*/false, nullptr);
}

tl::expected<StoredRequest, ApiError> KeptRequests::accept(const Call& call,
                                                           const std::string& owner) {
  const auto refused = [](ApiError error) { return tl::unexpected<ApiError>(std::move(error)); };
  const auto n_kept = store_->trim(options_.max_bytes);
  if (!n_kept) return refused(to_api_error(n_kept.error()));
  if (*n_kept > options_.max_bytes)
    return refused(overloaded("what is kept of running requests has reached its limit", 60));
  StoredRequest request;
  request.owner = owner;
  request.id = call.request.request_id;
  request.model = options_.model;
  request.created = std::time(nullptr);
  request.path = call.request.path;
  request.body = call.request.body;
  request.seed = seed_by_chance();
  if (const Status status = store_->insert(request); !status)
    return refused(to_api_error(status.error()));
  return request;
}

std::shared_ptr<Exchange> KeptRequests::keep_answer(const Call& call, const std::string& id,
                                                    int64_t created) {
  StoredRequest request;
  request.owner = owner_name(call.owner);
  request.id = id;
  request.model = options_.model;
  request.created = created;
  request.path = call.request.path;
  request.body = call.request.body;
  request.state = RequestState::kDone;
  return std::make_shared<KeptAnswer>(
      call.exchange, [this, request = std::move(request)](RecordedAnswer answer) mutable {
        request.is_stream = answer.is_stream;
        request.status = answer.status;
        request.answer = std::move(answer.bytes);
        check(store_->insert(request));
        const auto n_kept = store_->trim(options_.max_bytes);
        if (!n_kept) check(tl::unexpected<Error>(n_kept.error()));
      });
}

ApiStatus KeptRequests::start(Services& services, Call& call, Endpoint endpoint,
                              StoredRequest request, bool is_resumed,
                              std::shared_ptr<Exchange> follower, size_t after) {
  const Key key(request.owner, request.id);
  const auto recording =
      std::make_shared<Recording>([this, key](const RecordedAnswer& answer, const ApiError* error) {
        ended(key, answer, error);
      });
  const auto kept = std::make_shared<KeptCall>();
  kept->id = request.id;
  kept->created = request.created;
  kept->seed = request.seed;
  kept->is_resumed = is_resumed;
  request.tokens.resize(std::min(request.n_resumable, request.tokens.size()));
  kept->resumed = request.tokens;
  kept->on_mark = [this, key](std::span<const int32_t> tokens, size_t n_resumable) {
    marked(key, tokens, n_resumable);
  };
  {
    const std::lock_guard lock(mutex_);
    running_[key] = {std::move(request), false, recording};
    if (follower != nullptr) follow_by_thread(recording, after, std::move(follower));
  }
  call.exchange = recording;
  call.kept = kept;
  ApiStatus status = endpoint(services, call);
  if (!status) recording->fail(status.error(), *call.errors);
  return status;
}

void KeptRequests::resume(Services& services,
                          const std::function<const Route*(const std::string& path)>& find) {
  auto left = store_->running();
  if (!left) return check(tl::unexpected<Error>(left.error()));
  for (StoredRequest& request : *left) {
    size_t owner = 0;
    for (size_t i = 1; i <= options_.keys.size(); ++i) {
      if (owner_name(i) == request.owner) owner = i;
    }
    const Route* const route = find(request.path);
    if (route == nullptr || request.owner != owner_name(owner)) continue;  // its key is gone
    if (options_.log)
      options_.log(
          fmt::format("request {} goes on from token {}", request.id, request.n_resumable));
    Call call;
    call.request.method = "POST";
    call.request.path = request.path;
    call.request.body = request.body;
    call.owner = owner;
    call.errors = &route->errors();
    if (request.model != options_.model) {
      const HttpReply reply = to_reply(of_another_model(), openai_errors());
      request.state = RequestState::kFailed;
      request.status = reply.status;
      request.answer = reply.body;
      check(store_->finish(request));
      continue;
    }
    services.metrics.resumed();
    (void)start(services, call, route->endpoint, std::move(request), /*is_resumed=*/true, nullptr);
  }
}

void KeptRequests::marked(const Key& key, std::span<const int32_t> tokens, size_t n_resumable) {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(key);
  if (found == running_.end()) return;
  StoredRequest& request = found->second.request;
  const size_t n_there = std::min(request.tokens.size(), tokens.size());
  request.tokens.insert(request.tokens.end(), tokens.begin() + static_cast<std::ptrdiff_t>(n_there),
                        tokens.end());
  request.n_resumable = n_resumable;
  found->second.has_news = true;
}

// Written behind: what the last half second said is said again, the same, after a crash.
void KeptRequests::write_marks(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait_for(lock, stop, kWriteEvery, [] { return false; });
    std::vector<StoredRequest> news;
    for (auto& [key, running] : running_) {
      if (!std::exchange(running.has_news, false)) continue;
      // Not all of it: a body may have megabytes.
      StoredRequest& mark = news.emplace_back();
      std::tie(mark.owner, mark.id) = key;
      mark.tokens = running.request.tokens;
      mark.n_resumable = running.request.n_resumable;
    }
    lock.unlock();
    if (!news.empty()) check(store_->mark(news));
    lock.lock();
  }
}

void KeptRequests::ended(const Key& key, const RecordedAnswer& answer, const ApiError* error) {
  // Until it is written, so that it is always in one of the two places.
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(key);
  if (found == running_.end()) return;
  StoredRequest request = std::move(found->second.request);
  running_.erase(found);
  if (error != nullptr && is_passing(*error) && is_stopping_)
    return check(store_->mark({request}));  // the next process goes on
  const bool is_cancelled = error != nullptr && error->code == "cancelled";
  // A request that was refused, or not run for want of room, may be sent again, and mended.
  if (error != nullptr && !is_cancelled && (is_passing(*error) || request.tokens.empty()))
    return check(store_->remove(key.first, key.second));
  request.state = is_cancelled       ? RequestState::kCancelled
                  : error != nullptr ? RequestState::kFailed
                                     : RequestState::kDone;
  request.is_stream = answer.is_stream;
  request.status = answer.status;
  request.answer = answer.bytes;
  check(store_->finish(request));
  const auto n_kept = store_->trim(options_.max_bytes);
  if (!n_kept) check(tl::unexpected<Error>(n_kept.error()));
}

// With the lock.
void KeptRequests::follow_by_thread(std::shared_ptr<Recording> recording, size_t after,
                                    std::shared_ptr<Exchange> client) {
  followers_.remove_if([](const Follower& follower) { return follower.is_done.load(); });
  Follower& follower = followers_.emplace_back();
  follower.thread = std::jthread([&follower, recording, after, client] {
    recording->follow(*client, after);
    follower.is_done = true;
  });
}

Result<bool> KeptRequests::follow(size_t owner, const std::string& id, size_t after,
                                  std::shared_ptr<Exchange> client) {
  const Key key(owner_name(owner), id);
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(key);
  if (found != running_.end()) {
    follow_by_thread(found->second.recording, after, std::move(client));
    return true;
  }
  LH_ASSIGN_OR_RETURN(const auto stored, store_->find(key.first, id));
  if (!stored) return false;
  follow_by_thread(std::make_shared<Recording>(
                       RecordedAnswer{stored->is_stream, stored->status, stored->answer}),
                   after, std::move(client));
  return true;
}

Result<std::optional<StoredRequest>> KeptRequests::stored(size_t owner, const std::string& id) {
  return store_->find(owner_name(owner), id);
}

Result<std::vector<RequestStore::Entry>> KeptRequests::list(size_t owner) {
  LH_ASSIGN_OR_RETURN(auto entries, store_->list(owner_name(owner)));
  const std::lock_guard lock(mutex_);
  for (RequestStore::Entry& entry : entries) {
    const auto found = running_.find({entry.request.owner, entry.request.id});
    if (found != running_.end()) entry.n_tokens = found->second.request.tokens.size();
  }
  return entries;
}

Result<std::optional<RequestStore::Entry>> KeptRequests::find(size_t owner, const std::string& id) {
  LH_ASSIGN_OR_RETURN(auto entries, list(owner));
  for (RequestStore::Entry& entry : entries) {
    if (entry.request.id == id) return std::optional(std::move(entry));
  }
  return std::optional<RequestStore::Entry>();
}

Result<bool> KeptRequests::cancel(size_t owner, const std::string& id) {
  const Key key(owner_name(owner), id);
  std::shared_ptr<Recording> recording;
  {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(key);
    if (found != running_.end()) recording = found->second.recording;
  }
  if (recording != nullptr) {
    recording->cancel(cancelled());
    return true;
  }
  LH_ASSIGN_OR_RETURN(const auto stored, store_->find(key.first, id));
  return stored.has_value();  // it is over
}

Result<bool> KeptRequests::remove(size_t owner, const std::string& id) {
  LH_ASSIGN_OR_RETURN(const bool is_there, cancel(owner, id));
  if (!is_there) return false;
  const Key key(owner_name(owner), id);
  {
    const std::lock_guard lock(mutex_);
    running_.erase(key);  // how it ends is not kept
  }
  LH_RETURN_IF_ERROR(store_->remove(key.first, id));
  return true;
}

}  // namespace longhaul
