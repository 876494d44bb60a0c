#include "apps/bandwidth.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <vector>

#include "base/aligned_buffer.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

constexpr size_t kBufferBytes = size_t{512} << 20;
constexpr size_t kTaskBytes = size_t{4} << 20;
constexpr int kPasses = 5;

// Independent sums, so that the additions never wait for each other.
uint64_t read_all(const uint64_t* words, size_t n_words) {
  std::array<uint64_t, 16> sums{};
  for (size_t i = 0; i + sums.size() <= n_words; i += sums.size()) {
    for (size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += words[i + lane];
  }
  return std::accumulate(sums.begin(), sums.end(), uint64_t{0});
}

}  // namespace

double measure_read_bandwidth(size_t n_threads) {
  using Clock = std::chrono::steady_clock;
  ThreadPool pool(n_threads);
  AlignedBuffer<uint64_t> buffer(kBufferBytes / sizeof(uint64_t));
  constexpr size_t kTaskWords = kTaskBytes / sizeof(uint64_t);
  constexpr size_t kTasks = kBufferBytes / kTaskBytes;
  std::vector<uint64_t> sums(kTasks);
  // Written once, so that the pages exist and are not all the same zero page.
  pool.run(kTasks, [&](size_t task, size_t) {
    std::fill_n(buffer.data() + task * kTaskWords, kTaskWords, task + 1);
  });
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.run(kTasks, [&](size_t task, size_t) {
      sums[task] += read_all(buffer.data() + task * kTaskWords, kTaskWords);
    });
    const double elapsed_s = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(kBufferBytes) / elapsed_s);
  }
  // The sums are used, so that no pass can be left out by the compiler.
  return std::accumulate(sums.begin(), sums.end(), uint64_t{0}) == 0 ? 0.0 : best;
}

}  // namespace longhaul
