#include "parallel/shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

TEST(Shares, OneThreadGoesThroughItsShareThenTheOthersFromTheirEnds) {
  Shares shares(7, 3);  // 0 and 1; 2 and 3; 4 to 6
  std::vector<size_t> order;
  shares.work(1, [&](size_t i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<size_t>{2, 3, 6, 5, 4, 1, 0}));
  shares.work(0, [&](size_t i) { order.push_back(i); });
  EXPECT_EQ(order.size(), 7U);  // nothing was left
}

TEST(Shares, ThreadsBeyondTheRunsWorkAtTheOthers) {
  Shares shares(200, 100);  // 64 runs of 3 or 4
  std::vector<size_t> order;
  shares.work(64, [&](size_t i) { order.push_back(i); });  // at the run of the first
  ASSERT_EQ(order.size(), 200U);
  EXPECT_EQ(order[0], 0U);
  EXPECT_EQ(order[1], 1U);
}

TEST(Shares, ThreadsRunEveryTaskOnce) {
  for (const size_t n_threads : {1, 2, 3, 5, 64, 65, 100}) {
    ThreadPool pool(n_threads);
    for (const size_t n_tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(n_tasks);
      Shares shares(n_tasks, std::min(pool.n_threads(), Shares::kMax));
      ASSERT_EQ(shares.size(), n_threads);  // nobody idles
      pool.run(shares.size(), [&](size_t share, size_t) {
        shares.work(share, [&](size_t i) { calls[i].fetch_add(1); });
      });
      for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
    }
  }
}

}  // namespace
}  // namespace longhaul
