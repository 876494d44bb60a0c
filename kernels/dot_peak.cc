#include "kernels/dot_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "hwy/detect_targets.h"
#include "kernels/vnni.h"
#if HWY_ARCH_X86
#include <immintrin.h>
#endif

namespace longhaul {
namespace {

// More sums than the instruction's latency times its rate, so that none waits for another.
constexpr int kSums = 16;
constexpr int kSumsOf256 = 12;  // 256-bit instructions have but 16 registers
constexpr int64_t kRounds = 400000;
constexpr int kPasses = 5;

// One thread's work: kRounds times kSums instructions. The result depends on all of them, so that
// none can be left out.
struct DotLoop {
  const char* instruction;
  double ops;  // of one instruction
  int32_t (*run)(int32_t seed);
};

#if HWY_ARCH_X86
__attribute__((target("avx512f,avx512bw,avx512vnni"))) int32_t run_vnni(int32_t seed) {
  const __m512i a = _mm512_set1_epi32(seed);
  __m512i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_epi32(seed + i);
  for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], a, a);
  }
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  alignas(64) int32_t lanes[16];
  _mm512_store_si512(lanes, sums[0]);
  return lanes[0];
}

// AVX-VNNI, or products of 16-bit pairs, which is how AVX2 alone multiplies 8-bit integers. In
// assembly: GCC 12 surrounds the first with copies, which takes half the speed, and would multiply
// what does not change once, before the loop.
template <bool kVnni>
__attribute__((target("avx2,avxvnni"))) int32_t run_256(int32_t seed) {
  const __m256i a = _mm256_set1_epi32(seed);
  __m256i sums[kSumsOf256];
#pragma GCC unroll 16
  for (int i = 0; i < kSumsOf256; ++i) sums[i] = _mm256_set1_epi32(seed + i);
  for (int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSumsOf256; ++i) {
      [[maybe_unused]] __m256i products;
      if constexpr (kVnni) {
        asm("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sums[i]) : "x"(a));
      } else {
        asm("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums[i]), "=&x"(products) : "x"(a));
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 1; i < kSumsOf256; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  return _mm256_extract_epi32(sums[0], 0);
}
#endif

// What the compiler makes of 16-bit products in 32-bit sums at the baseline of the build.
int32_t run_baseline(int32_t seed) {
  constexpr int kLanes = 64;
  int16_t a[kLanes];
  int32_t sums[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    a[i] = static_cast<int16_t>(seed + i);
    sums[i] = i;
  }
  for (int64_t round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kLanes; ++i)
      sums[i] += static_cast<int32_t>(a[i]) * static_cast<int16_t>(sums[i]);
  }
  return sums[0] ^ sums[kLanes - 1];
}

DotLoop best_loop() {
#if HWY_ARCH_X86
  if (has_avx512_vnni()) return {"AVX-512 VNNI vpdpbusd", 2.0 * 64 * kSums, run_vnni};
  if (has_avx_vnni()) return {"AVX-VNNI vpdpbusd", 2.0 * 32 * kSumsOf256, run_256<true>};
  if (__builtin_cpu_supports("avx2") != 0)
    return {"AVX2 vpmaddwd", 2.0 * 16 * kSumsOf256, run_256<false>};
#endif
  return {"baseline 16-bit products", 2.0 * 64, run_baseline};
}

}  // namespace

DotPeak measure_dot_peak(ThreadPool& pool) {
  using Clock = std::chrono::steady_clock;
  const DotLoop loop = best_loop();
  const size_t n = pool.n_threads();
  std::vector<int32_t> results(n);
  double best_s = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    pool.run(n, [&](size_t task, size_t) {
      // Written to a place the caller reads: the loop cannot be dropped.
      const volatile int32_t seed = static_cast<int32_t>(task) + pass + 3;
      results[task] += loop.run(seed);
    });
    best_s = std::min(best_s, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const volatile int32_t used = results[0];
  (void)used;
  return {loop.instruction,
          loop.ops * static_cast<double>(kRounds) * static_cast<double>(n) / best_s};
}

}  // namespace longhaul
