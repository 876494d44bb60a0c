// The kernel for few rows of activations. A block makes one tile of outputs; warp s sums slice s of
// the inputs, weights going from memory to registers in one pass, and the block adds the slices in
// ascending order.
#pragma once

#include "cuda/linear_kernels.h"
#include "cuda/linear_lane.h"

namespace longhaul::cuda {

// The task that a block of the first grid axis belongs to.
LH_DEVICE uint32_t find_task(const MatmulArgs& args, uint32_t block) {
  uint32_t task = 0;
  while (task + 1 < args.n_tasks && block >= args.tasks[task + 1].first_block) ++task;
  return task;
}

// The sum of the slices becomes an output.
LH_DEVICE void store_output(const MatmulArgs& args, const TaskArgs& task, uint32_t row,
                            uint32_t out, float sum) {
  if (row >= args.n_rows || out >= task.n_out) return;
  if (args.x.row_scales != nullptr) sum = mul_rn(sum, args.x.row_scales[row]);
  if (task.bias != nullptr) sum = add_rn(sum, task.bias[out]);
  task.y[row * task.y_stride + out] = sum;
}

// Activations in global memory, from a group and a block on.
template <int kCols>
struct GlobalSource {
  const uint2* fragments;
  const float2* scale_pairs;
  uint32_t n_blocks;
  uint32_t lane;

  LH_DEVICE void advance(uint32_t blocks) {
    fragments += blocks * 32;
    scale_pairs += blocks * kGroupRows;
  }
  LH_DEVICE uint2 fragment(uint32_t group, uint32_t block) const {
    const uint32_t column_lane = kCols == 2 ? lane : lane / 8 * 4 + lane % 4;
    return load_cached(fragments + (group * n_blocks + block) * 32 + column_lane);
  }
  LH_DEVICE ColumnScales<kCols> scales(uint32_t group, uint32_t block) const {
    const float2* of_block = scale_pairs + (group * n_blocks + block) * kGroupRows;
    if constexpr (kCols == 2) {
      const float4 pair = load_cached(reinterpret_cast<const float4*>(of_block) + lane % 4);
      return {{pair.x, pair.z}, {pair.y, pair.w}};
    } else {
      const float2 one = load_cached(of_block + lane % 4);
      return {{one.x}, {one.y}};
    }
  }
};

// Of a block: rows of activations; and floats from one row of a slice's sums to the next, which
// keeps the lanes of a warp in different banks.
template <int kGroups, int kCols>
inline constexpr uint32_t kFewRows = kCols == 2 ? kGroups * kGroupRows : 4;
inline constexpr uint32_t kSumStride = kTileRows + 4;

template <int kGroups, int kCols>
constexpr uint32_t few_shared_bytes(uint32_t n_slices) {
  return n_slices * kFewRows<kGroups, kCols> * kSumStride * static_cast<uint32_t>(sizeof(float));
}

template <class F, int kGroups, int kCols>
LH_DEVICE void sum_slice(const MatmulArgs& args, const std::byte* tile, uint32_t first_group,
                         uint32_t slice, uint32_t lane, float (&acc)[1][kGroups][2 * kCols]) {
  const uint32_t per_slice = units_per_slice(args.n_units);
  const uint32_t begin = slice * per_slice;
  const uint32_t n_units = args.n_units - begin < per_slice ? args.n_units - begin : per_slice;
  constexpr uint32_t kUnitBlocks = F::L::kSteps * F::kBlocks;
  const size_t first = static_cast<size_t>(first_group) * args.x.n_blocks + begin * kUnitBlocks;
  GlobalSource<kCols> x = {args.x.fragments + first * 32, args.x.scales + first * kGroupRows,
                           args.x.n_blocks, lane};
  const std::byte* unit = tile + static_cast<size_t>(begin) * F::L::kBytes;
  // Steps whose loads are under way at once: a unit, or what leaves registers for 32 warps on a
  // multiprocessor.
  constexpr uint32_t kAtOnce = kCols == 1 || F::L::kSteps < 2 ? F::L::kSteps : 2;
#pragma unroll 1
  for (uint32_t left = n_units; left > 0; --left, unit += F::L::kBytes) {
    const typename F::Head head[1] = {F::load_head(unit, lane, LoadStreaming())};
#pragma unroll 1
    for (uint32_t s = 0; s < F::L::kSteps; s += kAtOnce) {
      typename F::Step steps[kAtOnce][1];
#pragma unroll
      for (uint32_t i = 0; i < kAtOnce; ++i)
        steps[i][0] = F::load_step(unit, lane, s + i, LoadStreaming());
#pragma unroll
      for (uint32_t i = 0; i < kAtOnce; ++i)
        multiply_step<F, kCols, 1, kGroups>(steps[i], head, x, i * F::kBlocks, acc);
      x.advance(kAtOnce * F::kBlocks);
    }
  }
}

// Threads: a warp for each slice.
template <TensorType type, int kGroups, int kCols>
LH_KERNEL(kMaxSlices * 32, kGroups == 1 ? 2 : 1)
few_rows(LH_KERNEL_ARGUMENT MatmulArgs args) {
  using F = LaneFormat<type>;
  constexpr uint32_t kRows = kFewRows<kGroups, kCols>;
  const uint32_t lane = thread_id() % 32;
  const uint32_t slice = thread_id() / 32;
  const TaskArgs& task = args.tasks[find_task(args, block_x())];
  const uint32_t tile = block_x() - task.first_block;
  const uint32_t first_group = block_y() * kGroups;

  float acc[1][kGroups][2 * kCols] = {};
  sum_slice<F, kGroups, kCols>(
      args, task.w + static_cast<size_t>(tile) * args.n_units * F::L::kBytes, first_group, slice,
      lane, acc);

  auto* sums = reinterpret_cast<float*>(shared_memory());  // [n_slices][kRows][kSumStride]
  float* own = sums + slice * kRows * kSumStride;
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
#pragma unroll
    for (int e = 0; e < 2 * kCols; ++e) {
      const uint32_t row = n * kGroupRows + lane % 4 * kCols + output_column<kCols>(e);
      own[row * kSumStride + lane / 4 + 8 * output_row<kCols>(e)] = acc[0][n][e];
    }
  }
  wait_for_block();
  const uint32_t n_slices = n_threads() / 32;
  for (uint32_t i = thread_id(); i < kRows * kTileRows; i += n_threads()) {
    const uint32_t row = i / kTileRows;
    const uint32_t out = i % kTileRows;
    const float* from = sums + row * kSumStride + out;
    float sum = from[0];
    for (uint32_t s = 1; s < n_slices; ++s) sum = add_rn(sum, from[s * kRows * kSumStride]);
    store_output(args, task, first_group * kGroupRows + row, tile * kTileRows + out, sum);
  }
}

}  // namespace longhaul::cuda
