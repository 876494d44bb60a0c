// Numbered tasks in contiguous runs: each thread goes through one of its own in order, and then
// helps the others from their ends. For tasks that read memory one after another: the lines that a
// task asks for ahead are those of the thread's next one.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace longhaul {

class Shares {
 public:
  static constexpr size_t kMax = 0xFFFFFFFF;

  // Shares of n_tasks < 2^32 tasks, one per thread, 1 <= n_shares <= kMax. The first kMaxRuns have
  // runs of their own, whose sizes differ by at most one; the next begin at the first one's run,
  // the second one's and so on, so that no thread idles and an operation sets up 4 KiB at most.
  Shares(size_t n_tasks, size_t n_shares)
      : n_shares_(n_shares), n_runs_(std::min(n_shares, kMaxRuns)) {
    for (size_t i = 0; i < n_runs_; ++i)
      runs_[i].tasks.store(pack(n_tasks * i / n_runs_, n_tasks * (i + 1) / n_runs_),
                           std::memory_order_relaxed);
  }

  size_t size() const { return n_shares_; }

  // Calls task(i) for the tasks of a share's run that nobody has taken, in ascending order; then
  // for those left of the others, from their ends. Threads may call this at once, for whichever
  // shares.
  template <class Task>
  void work(size_t share, Task task) {
    const size_t run = share % n_runs_;
    size_t i;
    while (take(runs_[run].tasks, false, i)) task(i);
    for (size_t other = 1; other < n_runs_; ++other) {
      while (take(runs_[(run + other) % n_runs_].tasks, true, i)) task(i);
    }
  }

 private:
  static constexpr size_t kMaxRuns = 64;

  static uint64_t pack(uint64_t first, uint64_t end) { return end << 32 | first; }

  // Takes the first or the last task of a run; false if it is empty.
  static bool take(std::atomic<uint64_t>& run, bool last, size_t& task) {
    uint64_t now = run.load(std::memory_order_relaxed);
    uint64_t next;
    do {
      const uint64_t first = now & 0xFFFFFFFF;
      const uint64_t end = now >> 32;
      if (first >= end) return false;
      task = last ? end - 1 : first;
      next = last ? pack(first, end - 1) : pack(first + 1, end);
    } while (!run.compare_exchange_weak(now, next, std::memory_order_relaxed));
    return true;
  }

  struct alignas(64) Run {  // apart, so that threads do not wait for each other's cache lines
    std::atomic<uint64_t> tasks;
  };
  std::array<Run, kMaxRuns> runs_;
  size_t n_shares_;
  size_t n_runs_;
};

}  // namespace longhaul
