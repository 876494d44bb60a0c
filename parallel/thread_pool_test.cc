#include "parallel/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace longhaul {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const size_t n_threads : {1, 2, 3, 5}) {
    ThreadPool pool(n_threads);
    for (const size_t n_tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(n_tasks);
      std::atomic<size_t> max_worker{0};
      pool.run(n_tasks, [&](size_t task, size_t worker) {
        calls[task].fetch_add(1);
        size_t seen = max_worker.load();
        while (worker > seen && !max_worker.compare_exchange_weak(seen, worker)) {
        }
      });
      for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
      EXPECT_LT(max_worker.load(), n_threads);
    }
  }
}

TEST(ThreadPool, WritesAreVisibleAfterRun) {
  ThreadPool pool(4);
  std::vector<int> values(64);
  for (int round = 0; round < 2000; ++round) {
    pool.run(values.size(), [&](size_t i, size_t) { values[i] += static_cast<int>(i); });
  }
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 2000 * static_cast<int>(i));
}

}  // namespace
}  // namespace longhaul
