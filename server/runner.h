// The queue of texts and the threads that run them. Every thread waits in the engine for one text
// at a time; the engine runs all of them together, a pass at a time (docs/architecture.md).
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "longhaul/engine.h"
#include "server/metrics.h"
#include "server/prefix_cache.h"
#include "server/slots.h"
#include "server/text_sink.h"

namespace longhaul {

struct TextJob {
  using Clock = std::chrono::steady_clock;

  GenerateRequest request;  // with its prompt of at least one token, without callbacks
  size_t owner = 0;         // whose kept texts it may build on
  bool use_kept = true;
  std::vector<std::vector<int32_t>> embed = {};  // instead of all else: texts to be embedded
  Pooling pooling = Pooling::kMean;
  bool scores_prompt = false;         // the log probabilities of the prompt are wanted
  bool wants_tokens = false;          // on_token is to be called
  bool wants_text = false;            // on_text is
  std::vector<int32_t> resumed = {};  // the beginning of the answer, generated before
  std::function<void(std::span<const int32_t>, size_t)> on_mark = {};  // see GenerateRequest
  std::optional<size_t> slot = {};  // whose text it becomes; nothing: any
  std::string request_id = {};      // of a kept request
  std::stop_token gone;             // stopped: nobody waits for it any more
  std::shared_ptr<TextSink> sink;
  // Begin once its prompt has been read, and before everything that waits: samples of one prompt.
  std::vector<TextJob> followers = {};
  Clock::time_point came_at = Clock::now();
};

class Runner {
 public:
  // `n_parallel` texts at once, at most `max_waiting` more. All must outlive it.
  Runner(Engine& engine, PrefixCache& kept, Slots& slots, Metrics& metrics, size_t n_parallel,
         size_t max_waiting);
  ~Runner();

  // False if they find no room in the queue: then nothing is done. Jobs whose clients are gone give
  // their room away. `always`: there is room, unless the server stops.
  bool submit(std::vector<TextJob>& jobs, bool always = false);
  // Seconds in which the queue may have room again, by how long texts have taken.
  size_t retry_after_s() const;

  // Ends what waits; texts that run go on.
  void drain();
  bool is_draining() const;
  // Ends everything.
  void cancel();
  bool is_idle() const;

 private:
  void work();
  void run(TextJob job);
  Result<GenerateResult> generate(TextJob& job, TextOutcome& outcome);
  Result<GenerateResult> generate_in(size_t slot, TextJob& job, TextOutcome& outcome,
                                     std::vector<int32_t>& whole);
  Result<PrefixCache::Start> begin(const TextJob& job);
  Status read(Session& session, TextJob& job, TextOutcome& outcome);
  Status score(Session& session, TextJob& job);
  Result<GenerateResult> embed(const TextJob& job, TextOutcome& outcome);
  std::string stop_text_of(const std::vector<std::string>& stops,
                           const std::vector<int32_t>& tokens) const;
  NamedToken named(GeneratedToken token) const;
  void release(std::vector<TextJob> followers);
  void tell() const;

  Engine& engine_;
  PrefixCache& kept_;
  Slots& slots_;
  Metrics& metrics_;
  const size_t max_waiting_;
  std::stop_source cancel_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<TextJob> waiting_;
  size_t n_running_ = 0;
  bool is_draining_ = false;
  double mean_s_ = 1;  // of recent texts
  std::vector<std::jthread> threads_;
};

}  // namespace longhaul
