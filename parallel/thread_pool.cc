#include "parallel/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace longhaul {
namespace {

using Task = FunctionRef<void(size_t, size_t)>;

// How often a waiter looks before it sleeps: some tens of microseconds, the gap between two
// operations of one token.
constexpr int kSpins = 4000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// The gate of an operation: who works on it, and whether one may still begin to.
using Gate = uint32_t;
constexpr Gate kInside = 0x7fff;      // how many workers are inside
constexpr Gate kClosed = 0x8000;      // nobody enters any more
constexpr Gate kEpoch = 0xffff0000U;  // counts operations, so that none is entered twice
constexpr Gate kNextEpoch = 0x10000;

}  // namespace

// The caller does not wait for workers that are not there: one that has lost its processor to
// another program enters no operation, and holds none up.
struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<Gate> gate{kClosed};
  std::atomic<size_t> next{0};  // the next task to hand out
  size_t n_tasks = 0;
  const Task* task = nullptr;
  bool stop = false;
  std::vector<std::jthread> threads;

  void work(size_t worker) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_tasks;)
      (*task)(i, worker);
  }

  Gate epoch() const { return gate.load(std::memory_order_acquire) & kEpoch; }

  // Enters the operation of that epoch, unless it is over or all but.
  bool enter(Gate of_epoch) {
    Gate now = gate.load(std::memory_order_acquire);
    do {
      if ((now & kEpoch) != of_epoch || (now & kClosed) != 0) return false;
    } while (!gate.compare_exchange_weak(now, now + 1, std::memory_order_acquire));
    return true;
  }

  void leave() {
    const Gate before = gate.fetch_sub(1, std::memory_order_release);
    if ((before & kClosed) != 0 && (before & kInside) == 1) gate.notify_one();
  }

  void loop(size_t worker) {
    Gate seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && epoch() == seen; ++spin) relax();
      if (epoch() == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return epoch() != seen || stop; });
      }
      seen = epoch();
      if (!enter(seen)) {
        const std::lock_guard lock(mutex);
        if (stop) return;
        continue;
      }
      work(worker);
      leave();
    }
  }

  // Publishes what the caller has set, and wakes the sleepers. Nobody is inside.
  void open() {
    {
      const std::lock_guard lock(mutex);
      gate.store(epoch() + kNextEpoch, std::memory_order_release);
    }
    wake.notify_all();
  }

  // Returns once nobody is inside any more.
  void close() {
    Gate now = gate.fetch_or(kClosed, std::memory_order_acquire) | kClosed;
    for (int spin = 0; spin < kSpins && (now & kInside) != 0; ++spin) {
      relax();
      now = gate.load(std::memory_order_acquire);
    }
    for (; (now & kInside) != 0; now = gate.load(std::memory_order_acquire))
      gate.wait(now, std::memory_order_acquire);
  }

  void end() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    threads.clear();  // joins
  }
};

ThreadPool::ThreadPool(size_t n_threads)
    : n_threads_(n_threads), state_(std::make_unique<State>()) {
  LH_CHECK(n_threads >= 1 && n_threads <= kInside);
  for (size_t worker = 1; worker < n_threads; ++worker) {
    state_->threads.emplace_back([state = state_.get(), worker] { state->loop(worker); });
  }
}

ThreadPool::~ThreadPool() { state_->end(); }

void ThreadPool::run(size_t n_tasks, Task task) {
  if (n_threads_ == 1 || n_tasks <= 1) {
    for (size_t i = 0; i < n_tasks; ++i) task(i, 0);
    return;
  }
  State& s = *state_;
  s.task = &task;
  s.n_tasks = n_tasks;
  s.next.store(0, std::memory_order_relaxed);
  s.open();
  s.work(0);
  s.close();
}

}  // namespace longhaul
