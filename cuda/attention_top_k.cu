// The highest scores of each list, by one block of threads: a search for the key of the last one
// chosen that halves nothing but divides the range into 2,048 bins a round, then an ordered
// collection.
#include <algorithm>

#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kThreads = 1024;
constexpr uint32_t kWarps = kThreads / kWarp;
constexpr uint32_t kBins = 2048;
constexpr uint32_t kForcedKey = 0xFF800000U;  // of +inf

// Integers that order like floats.
__device__ __forceinline__ uint32_t key_of(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0F);  // the zeros are equal
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}

// Scores of so many blocks are read once, into shared memory; longer lists every time anew.
constexpr uint32_t kMostKept = 48 * 1024;

// The scores of a list; a warp has a contiguous part of them.
struct List {
  const float* scores;  // of this list, or the copy in shared memory
  uint32_t n;
  uint32_t first, end;  // of the warp
  uint32_t lane;

  // f(index, key, whether there is one) for the warp's scores, 32 at a time in order.
  template <class F>
  __device__ __forceinline__ void for_each(const F& f) const {
#pragma unroll 4
    for (uint32_t i = first; i < end; i += kWarp) {
      const bool is_there = i + lane < end;
      f(i + lane, is_there ? key_of(scores[i + lane]) : 0U, is_there);
    }
  }
};

// A bin, and how many keys are in those above it and in itself.
struct Bin {
  uint32_t number, n_above, n_inside;
};

struct Shared {
  uint32_t bins[kBins];
  uint32_t warps[kWarps];
  uint32_t more[kWarps];
  Bin bin;
};

// The sum over all threads, in all of them.
__device__ uint32_t block_sum(uint32_t x, uint32_t* warps) {
  x = __reduce_add_sync(kAllLanes, x);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  x = __reduce_add_sync(kAllLanes, warps[threadIdx.x % kWarp]);
  __syncthreads();
  return x;
}
__device__ uint32_t block_max(uint32_t x, uint32_t* warps) {
  x = __reduce_max_sync(kAllLanes, x);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = x;
  __syncthreads();
  x = __reduce_max_sync(kAllLanes, warps[threadIdx.x % kWarp]);
  __syncthreads();
  return x;
}

// Of the sums before a thread, in order of threads: x of all threads before this one.
__device__ uint32_t sum_before(uint32_t x, uint32_t* warps) {
  const uint32_t lane = threadIdx.x % kWarp;
  uint32_t inclusive = x;
#pragma unroll
  for (uint32_t i = 1; i < kWarp; i *= 2) {
    const uint32_t other = __shfl_up_sync(kAllLanes, inclusive, i);
    if (lane >= i) inclusive += other;
  }
  if (lane == kWarp - 1) warps[threadIdx.x / kWarp] = inclusive;
  __syncthreads();
  const uint32_t before =
      __reduce_add_sync(kAllLanes, lane < threadIdx.x / kWarp ? warps[lane] : 0U);
  __syncthreads();
  return before + inclusive - x;
}

// Keys above `key` are chosen, and the first n_ties of those equal to it.
struct Threshold {
  uint32_t key, n_ties;
};

// Finds in which bin of 2^shift keys from `low` on the n-th highest key up to `high` lies.
__device__ Bin find_bin(const List& list, uint32_t low, uint32_t high, uint32_t shift, uint32_t n,
                        Shared& shared) {
  for (uint32_t i = threadIdx.x; i < kBins; i += kThreads) shared.bins[i] = 0;
  __syncthreads();
  list.for_each([&](uint32_t, uint32_t key, bool is_there) {
    if (is_there && key >= low && key <= high) atomicAdd(&shared.bins[(key - low) >> shift], 1U);
  });
  __syncthreads();
  // A thread has two bins, the highest first.
  const uint32_t top = kBins - 1 - 2 * threadIdx.x;
  const uint32_t upper = shared.bins[top];
  const uint32_t lower = shared.bins[top - 1];
  const uint32_t before = sum_before(upper + lower, shared.warps);
  const bool is_upper = before < n && n <= before + upper;
  const bool is_lower = before + upper < n && n <= before + upper + lower;
  if (is_upper) shared.bin = {top, before, upper};
  if (is_lower) shared.bin = {top - 1, before + upper, lower};
  __syncthreads();
  return shared.bin;
}

// The n-th highest key, 1 <= n <= the number of scores.
__device__ Threshold find_threshold(const List& list, uint32_t n, Shared& shared) {
  uint32_t n_forced = 0;
  uint32_t high = 0;
  uint32_t not_low = 0;  // the complement of the lowest
  list.for_each([&](uint32_t, uint32_t key, bool is_there) {
    if (!is_there) return;
    const bool is_forced = key >= kForcedKey;
    n_forced += is_forced ? 1 : 0;
    if (is_forced) return;
    high = max(high, key);
    not_low = max(not_low, ~key);
  });
  n_forced = block_sum(n_forced, shared.warps);
  if (n <= n_forced) return {kForcedKey, n};
  high = block_max(high, shared.warps);
  uint32_t low = ~block_max(not_low, shared.warps);
  n -= n_forced;
  while (high > low) {
    const uint32_t n_bits = 32 - __clz(high - low);
    const uint32_t shift = n_bits > 11 ? n_bits - 11 : 0;
    const Bin bin = find_bin(list, low, high, shift, n, shared);
    n -= bin.n_above;
    low += bin.number << shift;
    if (n == bin.n_inside) return {low - 1, 0};  // all of the bin; no number has the key 0
    high = min(high, low + ((1U << shift) - 1));
  }
  return {low, n};
}

// Writes the chosen indices in ascending order.
__device__ void collect(const List& list, Threshold threshold, uint32_t* ids, Shared& shared) {
  uint32_t n_above = 0;
  uint32_t n_equal = 0;
  list.for_each([&](uint32_t, uint32_t key, bool is_there) {
    n_above += is_there && key > threshold.key ? 1 : 0;
    n_equal += is_there && key == threshold.key ? 1 : 0;
  });
  n_above = __reduce_add_sync(kAllLanes, n_above);
  n_equal = __reduce_add_sync(kAllLanes, n_equal);
  const uint32_t warp = threadIdx.x / kWarp;
  if (list.lane == 0) shared.warps[warp] = n_above, shared.more[warp] = n_equal;
  __syncthreads();
  const bool is_before = list.lane < warp;
  uint32_t place = __reduce_add_sync(kAllLanes, is_before ? shared.warps[list.lane] : 0U);
  uint32_t ties = __reduce_add_sync(kAllLanes, is_before ? shared.more[list.lane] : 0U);
  place += min(ties, threshold.n_ties);
  const uint32_t lower_lanes = (1U << list.lane) - 1;
  list.for_each([&](uint32_t index, uint32_t key, bool is_there) {
    const bool is_equal = is_there && key == threshold.key;
    const uint32_t equal = __ballot_sync(kAllLanes, is_equal);
    const bool is_first = ties + __popc(equal & lower_lanes) < threshold.n_ties;
    const bool is_chosen = is_there && (key > threshold.key || (is_equal && is_first));
    const uint32_t chosen = __ballot_sync(kAllLanes, is_chosen);
    if (is_chosen) ids[place + __popc(chosen & lower_lanes)] = index;
    place += __popc(chosen);
    ties += __popc(equal);
  });
}

// Copies the scores that a warp reads to shared memory, where it finds them from then on.
__device__ void keep(List& list) {
  auto* const kept = reinterpret_cast<float*>(shared_memory());
#pragma unroll 8
  for (uint32_t i = list.first + list.lane; i < list.end; i += kWarp) kept[i] = list.scores[i];
  __syncwarp();
  list.scores = kept;
}

__global__ void __launch_bounds__(kThreads) choose_blocks(SelectArgs args, uint32_t n_kept) {
  __shared__ Shared shared;
  wait_for_those_before();
  const StepRows step = args.pass.steps[blockIdx.y];
  if (!is_listed(step, args.lists)) return;
  const size_t at = (size_t{blockIdx.y} * args.kv.n_kv_heads + blockIdx.x) * args.lists.stride;
  const uint32_t n = step.first_pos / args.kv.block_size + 1;
  const uint32_t n_selected = min(step.n_selected, n);
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t share = (n + kThreads - 1) / kThreads * kWarp;  // of a warp
  List list = {args.lists.scores + at, n, min(warp * share, n), min((warp + 1) * share, n),
               threadIdx.x % kWarp};
  if (n <= n_kept) keep(list);
  const Threshold threshold = find_threshold(list, n_selected, shared);
  let_next_launch();  // not before: its blocks would take the memory that this one works in
  collect(list, threshold, args.lists.ids + at, shared);
}

// As many scores as a block of threads may keep on this card.
uint32_t most_kept_here() {
  int device = 0;
  int n_bytes = 0;
  LH_CUDA(cudaGetDevice(&device));
  LH_CUDA(cudaDeviceGetAttribute(&n_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  const uint32_t fits =
      (static_cast<uint32_t>(n_bytes) - sizeof(Shared)) / static_cast<uint32_t>(sizeof(float));
  const uint32_t n = std::min(fits, kMostKept);
  LH_CUDA(allow_shared_memory(choose_blocks, n * static_cast<uint32_t>(sizeof(float))));
  return n;
}

}  // namespace

void launch_top_k(cudaStream_t stream, const SelectArgs& args) {
  const dim3 grid(args.kv.n_kv_heads, args.pass.n_steps);
  static const uint32_t most_kept = most_kept_here();
  const uint32_t n_blocks = (args.pass.max_context - 1) / args.kv.block_size + 1;
  const uint32_t n_kept = n_blocks <= most_kept ? n_blocks : 0;
  const LaunchShape shape = {grid, kThreads, n_kept * static_cast<uint32_t>(sizeof(float))};
  launch_kernel(stream, choose_blocks, shape, args, n_kept);
}

}  // namespace longhaul::cuda
