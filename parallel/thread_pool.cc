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

}  // namespace

struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> epoch{0};   // counts calls of run(); a change is the signal to start
  std::atomic<size_t> next{0};      // the next task to hand out
  std::atomic<uint32_t> n_busy{0};  // threads that have not yet finished this epoch
  size_t n_tasks = 0;
  const Task* task = nullptr;
  bool stop = false;
  std::vector<std::jthread> threads;

  void work(size_t worker) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_tasks;)
      (*task)(i, worker);
  }

  void loop(size_t worker) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && epoch.load(std::memory_order_acquire) == seen; ++spin)
        relax();
      if (epoch.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return epoch.load(std::memory_order_acquire) != seen; });
      }
      seen = epoch.load(std::memory_order_acquire);
      if (stop) return;
      work(worker);
      if (n_busy.fetch_sub(1, std::memory_order_release) == 1) n_busy.notify_one();
    }
  }

  // Publishes what the caller has set, and wakes the sleepers.
  void start_epoch() {
    {
      std::lock_guard lock(mutex);
      epoch.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
  }
};

ThreadPool::ThreadPool(size_t n_threads)
    : n_threads_(n_threads), state_(std::make_unique<State>()) {
  LH_CHECK(n_threads >= 1);
  for (size_t worker = 1; worker < n_threads; ++worker) {
    state_->threads.emplace_back([state = state_.get(), worker] { state->loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->start_epoch();
  state_->threads.clear();  // joins
}

void ThreadPool::run(size_t n_tasks, Task task) {
  if (n_threads_ == 1 || n_tasks <= 1) {
    for (size_t i = 0; i < n_tasks; ++i) task(i, 0);
    return;
  }
  State& s = *state_;
  s.task = &task;
  s.n_tasks = n_tasks;
  s.next.store(0, std::memory_order_relaxed);
  s.n_busy.store(static_cast<uint32_t>(n_threads_ - 1), std::memory_order_relaxed);
  s.start_epoch();
  s.work(0);
  for (int spin = 0; spin < kSpins && s.n_busy.load(std::memory_order_acquire) != 0; ++spin)
    relax();
  for (uint32_t n; (n = s.n_busy.load(std::memory_order_acquire)) != 0;) {
    s.n_busy.wait(n, std::memory_order_acquire);
  }
}

}  // namespace longhaul
