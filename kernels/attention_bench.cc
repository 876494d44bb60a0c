// attend() beside what the machine can do: GB/s of KV read (decode) beside the bandwidth of plainly
// reading as much memory, and Gop/s (4 operations per query, token and dimension; what the kernel
// executes on top to keep precision is not counted) beside the VNNI peak, both measured here.
// Arguments: heads per group, head_dim, type (0 f16, 1 q8_0), context, rows, threads, pages (0 of
// 4 KiB, 1 huge).
//   attention_bench --benchmark_filter='attention|peak|read'
// The benchmarks set/... do it with every instruction set of this processor.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "hwy/highway.h"
#include "kernels/attention.h"
#include "kernels/attention_int8.h"
#include "kernels/block_bounds.h"
#include "kernels/vnni.h"
#include "parallel/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace longhaul {
namespace {

constexpr size_t kTilesPerPage = 16;

// Memory straight from the system, aligned for huge pages and with them or without.
class Pages {
 public:
  Pages(size_t size, bool huge) : n_mapped_(size + kHuge) {
    mapped_ = mmap(nullptr, n_mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED) throw std::bad_alloc();
    data_ = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(mapped_) + kHuge - 1) /
                                         kHuge * kHuge);
    (void)madvise(data_, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::memset(data_, 1, size);
  }
  ~Pages() { munmap(mapped_, n_mapped_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }

 private:
  static constexpr size_t kHuge = size_t{2} << 20;
  size_t n_mapped_;
  void* mapped_;
  std::byte* data_;
};

// K and V of some KV heads, laid out as the cache does: [head][page][tile].
struct Kv {
  size_t page_bytes;  // of one head
  std::vector<uint32_t> pages;
  size_t n_bytes;  // of all heads
  Pages tiles;

  Kv(KvType type, size_t head_dim, size_t n_heads, size_t n_tokens, bool huge)
      : page_bytes(kTilesPerPage * (k_tile_bytes(type, head_dim) + v_tile_bytes(type, head_dim))),
        pages((n_tokens + 255) / 256),
        n_bytes(n_heads * pages.size() * page_bytes),
        tiles(n_bytes, huge) {
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    std::vector<float> x(head_dim);
    for (size_t slot = 0; slot < kTilesPerPage * kTileTokens; ++slot) {
      for (float& e : x) e = normal(rng);
      std::byte* tile = tiles.data() + slot / 16 * page_bytes / kTilesPerPage;
      write_k(type, tile, slot % 16, x.data(), head_dim);
      write_v(type, tile + k_tile_bytes(type, head_dim), slot % 16, x.data(), head_dim);
    }
    for (size_t p = 0; p < pages.size(); ++p) pages[p] = static_cast<uint32_t>(p);
    for (size_t i = 1; i < pages.size() * n_heads; ++i) {  // every page a copy of the first
      std::memcpy(tiles.data() + i * page_bytes, tiles.data(), page_bytes);
    }
  }
};

// The jobs of one layer, each with its own queries, and where they lie.
struct Layer {
  Kv kv;
  std::vector<float> q, out;
  std::vector<AttentionJob> jobs;

  Layer(KvType type, size_t head_dim, size_t n_group, size_t n_heads, size_t n_rows, size_t context,
        bool huge)
      : kv(type, head_dim, n_heads, context, huge),
        q(n_rows * n_heads * n_group * head_dim),
        out(q.size()),
        jobs(n_heads) {
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    for (float& e : q) e = normal(rng);
    for (size_t h = 0; h < n_heads; ++h) {
      AttentionJob& job = jobs[h];
      job.kv = {kv.tiles.data() + h * kv.pages.size() * kv.page_bytes,
                kv.page_bytes,
                kv.pages.data(),
                kTilesPerPage,
                type,
                type,
                head_dim,
                head_dim};
      job.q = q.data() + h * n_group * head_dim;
      job.out = out.data() + h * n_group * head_dim;
      job.q_stride = job.out_stride = n_heads * n_group * head_dim;
      job.n_rows = n_rows;
      job.n_group = n_group;
      job.first_pos = static_cast<uint32_t>(context - n_rows);
      job.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    }
  }
};

struct Shape {
  size_t n_group, head_dim;
  KvType type;
  size_t context, n_rows, n_threads;
  bool huge;
};

void measure(benchmark::State& state, const Shape& shape, AttentionWorkspace workspace) {
  // Decoding must not find its tokens in the caches; chunks do, of one head.
  Layer layer(shape.type, shape.head_dim, shape.n_group, shape.n_rows == 1 ? 8 : 2, shape.n_rows,
              shape.context, shape.huge);
  ThreadPool pool(shape.n_threads);
  for (auto _ : state) {
    attend(pool, layer.jobs, workspace);
    benchmark::DoNotOptimize(layer.out.data());
  }
  const auto n = static_cast<double>(state.iterations());
  const double ops =
      4.0 * static_cast<double>(layer.q.size()) *
      (static_cast<double>(shape.context) - static_cast<double>(shape.n_rows - 1) / 2);
  state.counters["KV_GB"] = benchmark::Counter(n * static_cast<double>(layer.kv.n_bytes) * 1e-9,
                                               benchmark::Counter::kIsRate);
  state.counters["GOP"] = benchmark::Counter(n * ops * 1e-9, benchmark::Counter::kIsRate);
}

void attention(benchmark::State& state) {
  const auto at = [&](size_t i) { return static_cast<size_t>(state.range(i)); };
  const KvType type = state.range(2) == 0 ? KvType::kF16 : KvType::kQ8_0;
  measure(state, {at(0), at(1), type, at(3), at(4), at(5), state.range(6) != 0},
          AttentionWorkspace());
}

void force_target(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);  // 0: all again
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// The same on q8_0 tiles with one thread, as a processor with no more than the target and these
// kernels would do it; null: in f32.
void register_set(int64_t target, const attention::Int8Kernels* kernels) {
  const std::string name = std::string("set/") + hwy::TargetName(target) + "/" +
                           (kernels == nullptr ? "f32" : kernels->name);
  const auto add = [&](const Shape& shape) {
    benchmark::RegisterBenchmark(
        (name + "/g:" + std::to_string(shape.n_group) + "/d:" + std::to_string(shape.head_dim) +
         "/rows:" + std::to_string(shape.n_rows))
            .c_str(),
        [=](benchmark::State& state) {
          force_target(target);
          measure(state, shape, attention::workspace_with(kernels));
          force_target(0);
        })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const auto& [n_group, head_dim] : {std::pair<size_t, size_t>{7, 64}, {2, 128}}) {
    add({n_group, head_dim, KvType::kQ8_0, 32768, 1, 1, true});
    for (const size_t n_rows : {32, 512}) {
      add({n_group, head_dim, KvType::kQ8_0, 8192, n_rows, 1, true});
    }
  }
}

void register_sets() {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    force_target(target);
    const attention::Int8Kernels* simd = attention::simd_int8_kernels();
    force_target(0);
    register_set(target, nullptr);
    if (simd != nullptr) register_set(target, simd);
  }
  if (const auto* kernels = attention::avx_vnni_int8_kernels()) register_set(HWY_AVX2, kernels);
  if (const auto* kernels = attention::avx512_vnni_int8_kernels()) register_set(HWY_AVX3, kernels);
}

const bool kRegistered = (register_sets(), true);

// Decoding over lists of a tenth of the tiles, in layers that take turns so that none is in the
// caches. Arguments: heads per group, head_dim, type, context, threads.
void lists(benchmark::State& state) {
  const auto n_group = static_cast<size_t>(state.range(0));
  const auto head_dim = static_cast<size_t>(state.range(1));
  const KvType type = state.range(2) == 0 ? KvType::kF16 : KvType::kQ8_0;
  const auto context = static_cast<size_t>(state.range(3));
  constexpr size_t kRatio = 10;
  const size_t n_heads = head_dim == 64 ? 2 : 8;
  const size_t n_layers = head_dim == 64 ? 24 : 3;
  std::mt19937 rng(1);
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<std::vector<TileRef>> tiles(n_layers * n_heads);
  for (size_t i = 0; i < n_layers; ++i) {
    layers.push_back(std::make_unique<Layer>(type, head_dim, n_group, n_heads, 1, context, true));
    for (size_t h = 0; h < n_heads; ++h) {
      std::vector<TileRef>& list = tiles[i * n_heads + h];
      for (uint32_t t = 0; t < context / kTileTokens; ++t) {
        if (rng() % kRatio == 0) list.push_back({t, 0xFFFF});
      }
      layers[i]->jobs[h].all_tiles = false;
      layers[i]->jobs[h].tiles = list;
    }
  }
  ThreadPool pool(static_cast<size_t>(state.range(4)));
  AttentionWorkspace workspace;
  size_t turn = 0;
  for (auto _ : state) {
    attend(pool, layers[turn++ % n_layers]->jobs, workspace);
  }
  state.counters["KV_GB"] =
      benchmark::Counter(static_cast<double>(state.iterations()) *
                             static_cast<double>(layers[0]->kv.n_bytes) / kRatio * 1e-9,
                         benchmark::Counter::kIsRate);
}
BENCHMARK(lists)
    ->ArgNames({"g", "d", "q8", "context", "threads"})
    ->ArgsProduct({{7}, {64}, {0, 1}, {131072}, {1, 2}})
    ->ArgsProduct({{2}, {128}, {0, 1}, {131072}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"g", "d", "q8", "context", "rows", "threads", "huge"});
  const int64_t shapes[][2] = {{7, 64}, {2, 128}, {4, 128}};
  for (const auto& shape : shapes) {
    for (const int64_t threads : {1, 2}) {
      for (const int64_t type : {0, 1}) {
        for (const int64_t huge : {0, 1}) {
          b->Args({shape[0], shape[1], type, 32768, 1, threads, huge});
        }
      }
      for (const int64_t rows : {32, 512}) {
        b->Args({shape[0], shape[1], 1, 8192, rows, threads, 1});
      }
    }
  }
}
BENCHMARK(attention)->Apply(shapes)->UseRealTime()->Unit(benchmark::kMillisecond);

#if defined(__x86_64__)
// Independent VNNI instructions on registers; returns a number that depends on them.
__attribute__((target("avx512f,avx512vnni"))) int32_t spin_vnni(size_t n) {
  __m512i a0, a1, a2, a3, a4, a5, a6, a7, a8, a9;
  a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = a9 = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi8(1);
  for (size_t i = 0; i < n; ++i) {
    asm volatile(
        "vpdpbusd %10, %10, %0\n\tvpdpbusd %10, %10, %1\n\tvpdpbusd %10, %10, %2\n\t"
        "vpdpbusd %10, %10, %3\n\tvpdpbusd %10, %10, %4\n\tvpdpbusd %10, %10, %5\n\t"
        "vpdpbusd %10, %10, %6\n\tvpdpbusd %10, %10, %7\n\tvpdpbusd %10, %10, %8\n\t"
        "vpdpbusd %10, %10, %9"
        : "+v"(a0), "+v"(a1), "+v"(a2), "+v"(a3), "+v"(a4), "+v"(a5), "+v"(a6), "+v"(a7), "+v"(a8),
          "+v"(a9)
        : "v"(x));
  }
  return _mm512_cvtsi512_si32(a0) + _mm512_cvtsi512_si32(a9);
}

void vnni_peak(benchmark::State& state) {
  if (!has_avx512_vnni()) return state.SkipWithError("this CPU has no AVX512-VNNI");
  constexpr size_t kRounds = 100000;
  ThreadPool pool(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    pool.run(static_cast<size_t>(state.range(0)),
             [&](size_t, size_t) { benchmark::DoNotOptimize(spin_vnni(kRounds)); });
  }
  state.counters["GOP"] = benchmark::Counter(
      static_cast<double>(state.iterations() * state.range(0)) * kRounds * 10 * 128 * 1e-9,
      benchmark::Counter::kIsRate);
}
BENCHMARK(vnni_peak)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
#endif

// Arguments: threads, pages as above.
void read_memory(benchmark::State& state) {
  constexpr size_t kBytes = size_t{256} << 20;
  constexpr size_t kTasks = 256;
  const Pages buffer(kBytes, state.range(1) != 0);
  ThreadPool pool(static_cast<size_t>(state.range(0)));
  std::vector<uint64_t> sums(kTasks * 8);
  for (auto _ : state) {
    pool.run(kTasks, [&](size_t task, size_t) {
      const auto* from =
          reinterpret_cast<const uint64_t*>(buffer.data()) + task * (kBytes / 8 / kTasks);
      uint64_t sum[8] = {};
      for (size_t i = 0; i < kBytes / 8 / kTasks; i += 8) {
        for (size_t j = 0; j < 8; ++j) sum[j] += from[i + j];
      }
      for (size_t j = 0; j < 8; ++j) sums[task * 8 + j] += sum[j];
    });
    benchmark::DoNotOptimize(sums.data());
  }
  state.counters["GB"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(kBytes) * 1e-9,
      benchmark::Counter::kIsRate);
}
BENCHMARK(read_memory)
    ->ArgsProduct({{1, 2}, {0, 1}})
    ->ArgNames({"threads", "huge"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

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
    bounds_set(groups.data() + b / 16 * group_bytes, b % 16, q.data(), q.data(), head_dim);
  }
  const BoundsView view{groups.data(), group_bytes, pages.data(), head_dim, n_blocks};
  std::vector<float> scores(n_blocks);
  for (auto _ : state) {
    score_blocks(view, q.data(), scores.data());
    benchmark::DoNotOptimize(scores.data());
  }
  state.counters["GB"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(groups.size()) * 1e-9,
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
