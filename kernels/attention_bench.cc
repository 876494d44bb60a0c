// attend() beside the machine: GB/s of KV read (decode) and GOP/s (chunks; 4 operations per query,
// token and dimension), with the bandwidth of plainly reading the same memory. Arguments: heads per
// group, head_dim, type (0 f16, 1 q8_0), context, rows, threads.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/attention.h"
#include "kernels/block_bounds.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

constexpr size_t kHeads = 2;  // KV heads, each with its own KV
constexpr size_t kTilesPerPage = 16;

struct Kv {
  std::vector<uint32_t> pages;
  AlignedBuffer<std::byte> k, v;
  KvView view;

  Kv(KvType type, size_t head_dim, size_t n_tokens, unsigned seed) {
    const size_t n_pages = (n_tokens + 255) / 256;
    const size_t k_bytes = k_tile_bytes(type, head_dim);
    const size_t v_bytes = v_tile_bytes(type, head_dim);
    k = AlignedBuffer<std::byte>(n_pages * kTilesPerPage * k_bytes);
    v = AlignedBuffer<std::byte>(n_pages * kTilesPerPage * v_bytes);
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(head_dim);
    for (size_t slot = 0; slot < kTilesPerPage * kTileTokens; ++slot) {
      for (float& e : x) e = normal(rng);
      write_k(type, k.data() + slot / 16 * k_bytes, slot % 16, x.data(), head_dim);
      write_v(type, v.data() + slot / 16 * v_bytes, slot % 16, x.data(), head_dim);
    }
    for (size_t p = 0; p < n_pages; ++p) {  // every page a copy of the first
      pages.push_back(static_cast<uint32_t>(p));
      if (p == 0) continue;
      std::memcpy(k.data() + p * kTilesPerPage * k_bytes, k.data(), kTilesPerPage * k_bytes);
      std::memcpy(v.data() + p * kTilesPerPage * v_bytes, v.data(), kTilesPerPage * v_bytes);
    }
    view = {k.data(),
            v.data(),
            kTilesPerPage * k_bytes,
            kTilesPerPage * v_bytes,
            pages.data(),
            kTilesPerPage,
            type,
            type,
            head_dim};
  }
};

void attention(benchmark::State& state) {
  const auto n_group = static_cast<size_t>(state.range(0));
  const auto head_dim = static_cast<size_t>(state.range(1));
  const KvType type = state.range(2) == 0 ? KvType::kF16 : KvType::kQ8_0;
  const auto context = static_cast<size_t>(state.range(3));
  const auto n_rows = static_cast<size_t>(state.range(4));
  const size_t stride = kHeads * n_group * head_dim;
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(n_rows * stride);
  for (float& e : q) e = normal(rng);
  std::vector<float> out(q.size());
  std::vector<Kv> kv;
  std::vector<AttentionJob> jobs(kHeads);
  for (unsigned h = 0; h < kHeads; ++h) kv.emplace_back(type, head_dim, context, h);
  for (size_t h = 0; h < kHeads; ++h) {
    AttentionJob& job = jobs[h];
    job.kv = kv[h].view;
    job.q = q.data() + h * n_group * head_dim;
    job.out = out.data() + h * n_group * head_dim;
    job.q_stride = job.out_stride = stride;
    job.n_rows = n_rows;
    job.n_group = n_group;
    job.first_pos = static_cast<uint32_t>(context - n_rows);
    job.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  }
  ThreadPool pool(static_cast<size_t>(state.range(5)));
  AttentionWorkspace workspace;
  for (auto _ : state) {
    attend(pool, jobs, workspace);
    benchmark::DoNotOptimize(out.data());
  }
  const auto n = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(kHeads * (kv[0].k.size() + kv[0].v.size()));
  const double ops = 4.0 * static_cast<double>(n_rows * stride) * static_cast<double>(context);
  state.counters["KV_GB"] = benchmark::Counter(n * bytes * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GOP"] = benchmark::Counter(n * ops * 1e-9, benchmark::Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"g", "d", "q8", "context", "rows", "threads"});
  const int64_t shapes[][2] = {{7, 64}, {2, 128}, {4, 128}};
  for (const auto& shape : shapes) {
    for (const int64_t threads : {1, 2}) {
      for (const int64_t type : {0, 1}) b->Args({shape[0], shape[1], type, 65536, 1, threads});
      for (const int64_t rows : {32, 512}) b->Args({shape[0], shape[1], 1, 8192, rows, threads});
    }
  }
}
BENCHMARK(attention)->Apply(shapes)->UseRealTime()->Unit(benchmark::kMillisecond);

void read_memory(benchmark::State& state) {
  const AlignedBuffer<uint64_t> buffer(size_t{16} << 20);
  ThreadPool pool(static_cast<size_t>(state.range(0)));
  std::vector<uint64_t> sums(64 * 8);
  for (auto _ : state) {
    pool.run(64, [&](size_t task, size_t) {
      const uint64_t* from = buffer.data() + task * (buffer.size() / 64);
      uint64_t sum[8] = {};
      for (size_t i = 0; i < buffer.size() / 64; i += 8) {
        for (size_t j = 0; j < 8; ++j) sum[j] += from[i + j];
      }
      for (size_t j = 0; j < 8; ++j) sums[task * 8 + j] += sum[j];
    });
    benchmark::DoNotOptimize(sums.data());
  }
  state.counters["GB"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(buffer.size()) * 8e-9,
      benchmark::Counter::kIsRate);
}
BENCHMARK(read_memory)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void scoring(benchmark::State& state) {
  const auto head_dim = static_cast<size_t>(state.range(0));
  const auto n_blocks = static_cast<size_t>(state.range(1));
  const size_t group_bytes = bounds_group_bytes(head_dim);
  const size_t n_groups = n_blocks / kBoundsGroupBlocks;
  AlignedBuffer<std::byte> groups(n_groups * group_bytes);
  std::vector<uint32_t> pages(n_groups);
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(head_dim);
  for (float& e : q) e = normal(rng);
  for (size_t b = 0; b < n_blocks; ++b) {
    pages[b / 16] = static_cast<uint32_t>(b / 16);
    bounds_set(groups.data() + b / 16 * group_bytes, b % 16, q.data(), head_dim);
  }
  const BoundsView view{groups.data(), group_bytes, pages.data(), head_dim, n_blocks};
  std::vector<float> scores(n_blocks);
  for (auto _ : state) {
    score_blocks(view, q.data(), scores.data());
    benchmark::DoNotOptimize(scores.data());
  }
  state.counters["GB"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(groups.size() / 2) * 1e-9,
      benchmark::Counter::kIsRate);
}
BENCHMARK(scoring)->ArgsProduct({{64, 128}, {8192, 65536}})->Unit(benchmark::kMicrosecond);

void top_k_of(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(3.0F, 5.0F);
  std::vector<float> scores(n);
  for (float& s : scores) s = normal(rng);
  std::vector<uint32_t> ids(n / 10);
  for (auto _ : state) {
    top_k(scores, ids.size(), ids.data());
    benchmark::DoNotOptimize(ids.data());
  }
}
BENCHMARK(top_k_of)->Arg(1024)->Arg(8192)->Arg(65536)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace longhaul
