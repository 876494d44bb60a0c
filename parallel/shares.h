// Numbered tasks in contiguous shares: each thread goes through one of its own in order, and then
// helps the others from their ends. For tasks that read memory one after another: the lines that a
// task asks for ahead are those of the thread's next one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace longhaul {

class Shares {
 public:
  static constexpr size_t kMax = 64;

  // Shares of n_tasks < 2^32 tasks whose sizes differ by at most one, 1 <= n_shares <= kMax.
  Shares(size_t n_tasks, size_t n_shares) : n_shares_(n_shares) {
    for (size_t i = 0; i < n_shares; ++i)
      ranges_[i].tasks.store(pack(n_tasks * i / n_shares, n_tasks * (i + 1) / n_shares),
                             std::memory_order_relaxed);
  }

  size_t size() const { return n_shares_; }

  // Calls task(i) for the tasks of a share that nobody has taken, in ascending order; then for
  // those left of the others, from their ends. Threads may call this at once, for whichever shares.
  template <class Task>
  void work(size_t share, Task task) {
    size_t i;
    while (take(ranges_[share].tasks, false, i)) task(i);
    for (size_t other = 1; other < n_shares_; ++other) {
      while (take(ranges_[(share + other) % n_shares_].tasks, true, i)) task(i);
    }
  }

 private:
  static uint64_t pack(uint64_t first, uint64_t end) { return end << 32 | first; }

  // Takes the first or the last task of a range; false if it is empty.
  static bool take(std::atomic<uint64_t>& range, bool last, size_t& task) {
    uint64_t now = range.load(std::memory_order_relaxed);
    uint64_t next;
    do {
      const uint64_t first = now & 0xFFFFFFFF;
      const uint64_t end = now >> 32;
      if (first >= end) return false;
      task = last ? end - 1 : first;
      next = last ? pack(first, end - 1) : pack(first + 1, end);
    } while (!range.compare_exchange_weak(now, next, std::memory_order_relaxed));
    return true;
  }

  struct alignas(64) Range {  // apart, so that threads do not wait for each other's cache lines
    std::atomic<uint64_t> tasks;
  };
  std::array<Range, kMax> ranges_;
  size_t n_shares_;
};

}  // namespace longhaul
