// Matrix products beside what the machine can do: GB/s of weights for one row (decode), beside the
// read bandwidth measured here; Gop/s for many rows (prefill), beside the arithmetic peak measured
// here.
//   linear_bench --benchmark_filter='Gemv|Read'
// Matrices are larger than the caches for one row, and of a layer's size for many.
// LONGHAUL_BENCH_THREADS sets the number of threads (default: all).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/linear.h"
#include "kernels/linear_sets.h"
#include "quant/registry.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace longhaul {
namespace {

ThreadPool& pool() {
  const char* wanted = std::getenv("LONGHAUL_BENCH_THREADS");
  static ThreadPool instance(wanted != nullptr ? std::strtoul(wanted, nullptr, 10)
                                               : std::thread::hardware_concurrency());
  return instance;
}

std::vector<float> random_floats(size_t n) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> out(n);
  for (float& x : out) x = uniform(random);
  return out;
}

// A matrix whose rows repeat: the kernels' time does not depend on the values, and encoding is
// slow.
PackedMatrix make_matrix(TensorType type, size_t n_out, size_t n_in) {
  constexpr size_t kDistinctRows = 64;
  const TensorTypeInfo& info = tensor_type_info(type);
  const size_t row_bytes = n_in / info.block_len * info.block_bytes;
  const std::vector<float> values = random_floats(kDistinctRows * n_in);
  std::vector<std::byte> distinct(kDistinctRows * row_bytes);
  find_quant(type)->quantize(values.data(), distinct.data(), values.size());
  std::vector<std::byte> rows;
  rows.reserve(n_out * row_bytes);
  while (rows.size() < n_out * row_bytes) rows.insert(rows.end(), distinct.begin(), distinct.end());
  return std::move(*PackedMatrix::pack(type, rows.data(), n_out, n_in, pool()));
}

// The last one made: packing takes longer than any measurement, which calls for it several times.
const PackedMatrix& matrix(TensorType type, size_t n_out, size_t n_in) {
  static PackedMatrix last;
  if (last.type() != type || last.n_out() != n_out || last.n_in() != n_in) {
    last = PackedMatrix();  // or both would be in memory
    last = make_matrix(type, n_out, n_in);
  }
  return last;
}

// What a second of sequential reads by all threads brings, at best.
void read_bandwidth(benchmark::State& state) {
  constexpr size_t kBytes = size_t{512} << 20;
  constexpr size_t kTask = size_t{1} << 20;
  AlignedBuffer<uint64_t> buffer(kBytes / 8);
  std::fill_n(buffer.data(), buffer.size(), uint64_t{1});  // or all were one page of zeros
  std::vector<uint64_t> sums(kBytes / kTask);
  for (auto _ : state) {
    pool().run(sums.size(), [&](size_t task, size_t) {
      const uint64_t* from = buffer.data() + task * (kTask / 8);
      uint64_t sum[8] = {};
      for (size_t i = 0; i < kTask / 8; i += 8) {
        for (size_t k = 0; k < 8; ++k) sum[k] ^= from[i + k];
      }
      for (const uint64_t s : sum) sums[task] ^= s;
    });
    benchmark::DoNotOptimize(sums.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kBytes));
}
BENCHMARK(read_bandwidth)->UseRealTime()->Unit(benchmark::kMillisecond);

#if defined(__x86_64__)
// Independent VNNI instructions on registers, two operations for each of 64 products.
__attribute__((target("avx512f,avx512vnni"))) int32_t spin_vnni(size_t n) {
  __m512i sums[12];
  for (__m512i& s : sums) s = _mm512_set1_epi32(0);
  __m512i a = _mm512_set1_epi8(1);
  for (size_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (size_t k = 0; k < 12; ++k) sums[k] = _mm512_dpbusd_epi32(sums[k], a, a);
    asm volatile("" : "+v"(a));  // or the loop would be computed at once
  }
  int32_t total = 0;
  for (const __m512i& s : sums) total += _mm_cvtsi128_si32(_mm512_castsi512_si128(s));
  return total;
}

void int8_peak(benchmark::State& state) {
  if (avx512_vnni_linear_kernels() == nullptr) return state.SkipWithError("no AVX-512 VNNI");
  constexpr size_t kSteps = 100000;
  for (auto _ : state) {
    pool().run(pool().n_threads(),
               [](size_t, size_t) { benchmark::DoNotOptimize(spin_vnni(kSteps)); });
  }
  const double ops = 2.0 * 64 * 12 * kSteps * static_cast<double>(pool().n_threads());
  state.counters["Gop/s"] =
      benchmark::Counter(ops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(int8_peak)->UseRealTime()->Unit(benchmark::kMicrosecond);
#endif

void run_matmul(benchmark::State& state, const LinearKernels& kernels, TensorType type,
                size_t n_out, size_t n_in, size_t n_rows) {
  const PackedMatrix& w = matrix(type, n_out, n_in);
  const std::vector<float> x = random_floats(n_rows * n_in);
  std::vector<float> y(n_rows * n_out);
  Activations activations;
  const MatmulTask task = {&w, MatrixView<float>(y.data(), n_rows, n_out)};
  for (auto _ : state) {
    prepare_with(kernels, pool(), MatrixView<const float>(x.data(), n_rows, n_in), activations,
                 reads_q8(type));
    matmul_with(kernels, pool(), activations, {&task, 1});
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * w.bytes()));
  const double ops = 2.0 * static_cast<double>(n_out * n_in * n_rows);
  state.counters["Gop/s"] =
      benchmark::Counter(ops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  for (const LinearKernels* kernels : all_linear_kernels()) {
    for (const QuantTraits& traits : all_quants()) {
      const TensorType type = traits.type;
      if (kernels->find(type) == nullptr) continue;
      const std::string name = std::string(tensor_type_info(type).name) + "/" + kernels->name;
      const auto add = [&](const std::string& kind, size_t n_out, size_t n_in, size_t n_rows) {
        benchmark::RegisterBenchmark((kind + "/" + name + "/" + std::to_string(n_out) + "x" +
                                      std::to_string(n_in) + "/rows:" + std::to_string(n_rows))
                                         .c_str(),
                                     [=](benchmark::State& state) {
                                       run_matmul(state, *kernels, type, n_out, n_in, n_rows);
                                     })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      };
      add("Gemv", 131072, 1024, 1);
      add("Gemv", 32768, 4096, 1);
      for (const size_t n_rows : {1, 2, 3, 4, 6, 8, 9, 16, 32}) add("Few", 65536, 1024, n_rows);
      add("Gemm", 3072, 1024, 512);
      add("Gemm", 1024, 3072, 512);
    }
  }
}

const bool kRegistered = (register_all(), true);

}  // namespace
}  // namespace longhaul
