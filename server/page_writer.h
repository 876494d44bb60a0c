// Writes pages of kept texts behind: a queue and a thread that nobody waits for. What does not fit
// the queue, and what is no longer kept when its turn comes, is not written, and counted.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "server/page_store.h"

namespace longhaul {

class PageWriter {
 public:
  // Keys and values of a page of a kept text; nothing once it is kept no more.
  using Source = std::function<std::optional<std::vector<std::byte>>(uint64_t text, size_t page)>;

  struct Options {
    size_t max_waiting = 1 << 16;        // pages; their names take 32 bytes each
    std::chrono::milliseconds grace{0};  // for what waits when it is to end
    Source source;                       // called by the thread
    std::function<void()> on_change;     // the counts are others; called by any thread
  };
  PageWriter(PageStore& store, Options options);
  ~PageWriter() { end(); }
  PageWriter(const PageWriter&) = delete;
  PageWriter& operator=(const PageWriter&) = delete;

  // The pages of a text that is kept from now on, and the texts that are not.
  void offer(uint64_t text, std::vector<PageKey> pages, const std::vector<uint64_t>& gone);
  // No text is kept.
  void forget_all();

  // Writes nothing more, but within the grace what waits.
  void end();

  struct Counts {
    uint64_t n_waiting = 0;
    uint64_t n_written = 0, n_dropped = 0;  // so far
  };
  Counts counts() const;

 private:
  struct Job {
    uint64_t text = 0;
    std::vector<PageKey> pages;
  };
  using Clock = std::chrono::steady_clock;

  void work();
  void write(const Job& job);
  bool is_too_late();
  // These with the mutex.
  void drop(const Job& job, size_t first);
  static bool covers(const Job& longer, const Job& job);

  PageStore& store_;
  const Options options_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  size_t n_waiting_ = 0;  // pages, those of the job that runs included
  uint64_t n_written_ = 0, n_dropped_ = 0;
  bool is_ending_ = false;
  Clock::time_point ends_at_;
  std::thread thread_;
};

}  // namespace longhaul
