// The kernel for few rows of activations. A block makes one tile of outputs; its warps share the
// slices of the inputs, weights going from memory to registers in one pass, and the block adds the
// slices in ascending order.
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

// What is added last to output `out`. Adding -0 changes no number.
LH_DEVICE float bias_of(const TaskArgs& task, uint32_t out) {
  return task.bias != nullptr && out < task.n_out ? task.bias[out] : -0.0F;
}

// What the sums of a row of activations are multiplied by at the end.
template <class F>
LH_DEVICE float row_scale_of(const MatmulArgs& args, uint32_t row) {
  if constexpr (F::kScaled) {
    return 1.0F;
  } else {
    return row < args.n_rows ? args.x.row_scales[row] : 1.0F;
  }
}

// The sum of all slices becomes an output.
template <class F>
LH_DEVICE float finish(float sum, float row_scale, float bias) {
  if constexpr (!F::kScaled) sum = mul_rn(sum, row_scale);
  return add_rn(sum, bias);
}

// Activations in global memory, as one lane reads them, from a group and a block on.
template <int kCols>
class GlobalSource {
 public:
  LH_DEVICE GlobalSource(const FragmentView& x, uint32_t first_group, uint32_t first_block,
                         uint32_t lane)
      : n_blocks_(x.n_blocks) {
    const size_t first = static_cast<size_t>(first_group) * x.n_blocks + first_block;
    fragments_ = x.fragments + first * 32 + (kCols == 2 ? lane : lane / 8 * 4 + lane % 4);
    scales_ = x.scales + first * kGroupRows + lane % 4 * kCols;
  }
  LH_DEVICE void advance(uint32_t blocks) {
    fragments_ += blocks * 32;
    scales_ += blocks * kGroupRows;
  }
  LH_DEVICE uint2 fragment(uint32_t group, uint32_t block) const {
    return load_cached(fragments_ + (group * n_blocks_ + block) * 32);
  }
  LH_DEVICE ColumnScales<kCols> scales(uint32_t group, uint32_t block) const {
    const float2* own = scales_ + (group * n_blocks_ + block) * kGroupRows;
    if constexpr (kCols == 2) {
      const float4 pair = load_cached(reinterpret_cast<const float4*>(own));
      return {{pair.x, pair.z}, {pair.y, pair.w}};
    } else {
      const float2 one = load_cached(own);
      return {{one.x}, {one.y}};
    }
  }

 private:
  const uint2* fragments_;
  const float2* scales_;
  uint32_t n_blocks_;
};

// Of a block: rows of activations; and floats from one row of a slice's sums to the next, which
// keeps the lanes of a warp in different banks.
template <int kGroups, int kCols>
inline constexpr uint32_t kFewRows = kCols == 1 ? 4 : uint32_t{kGroups} * kGroupRows;
inline constexpr uint32_t kSumStride = kTileRows + 4;

template <int kGroups, int kCols>
constexpr uint32_t few_shared_bytes(uint32_t n_slices) {
  return n_slices * kFewRows<kGroups, kCols> * kSumStride * static_cast<uint32_t>(sizeof(float));
}

template <class F, int kGroups, int kCols>
LH_DEVICE void sum_slice(const MatmulArgs& args, const std::byte* tile, uint32_t first_group,
                         uint32_t slice, uint32_t lane, float (&acc)[1][kGroups][2 * kCols]) {
  const uint32_t begin = slice * args.slice_units;
  const uint32_t n_left = args.n_units - begin;
  const uint32_t n_units = n_left < args.slice_units ? n_left : args.slice_units;
  constexpr uint32_t kUnitBlocks = F::L::kSteps * F::kBlocks;
  GlobalSource<kCols> x(args.x, first_group, begin * kUnitBlocks, lane);
  const std::byte* unit = tile + static_cast<size_t>(begin) * F::L::kBytes;
  // Steps whose loads are under way at once: more would not leave registers for 32 warps on a
  // multiprocessor, which together have enough under way.
  constexpr uint32_t kAtOnce = F::L::kSteps < 2 ? 1 : 2;
  // What is not under way yet comes as far as the second-level cache: a unit ahead.
  const bool prefetches = args.prefetch && lane == 0;
  if (prefetches) prefetch_to_l2(unit, F::L::kBytes);
#pragma unroll 1
  for (uint32_t left = n_units; left > 0; --left, unit += F::L::kBytes) {
    if (prefetches && left > 1) prefetch_to_l2(unit + F::L::kBytes, F::L::kBytes);
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

// Puts a lane's part of a slice's sums where the block adds them.
template <int kGroups, int kCols>
LH_DEVICE void keep_sums(const float (&acc)[1][kGroups][2 * kCols], uint32_t lane, float* sums) {
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
#pragma unroll
    for (int e = 0; e < 2 * kCols; ++e) {
      const uint32_t row = n * kGroupRows + lane % 4 * kCols + output_column<kCols>(e);
      sums[row * kSumStride + lane / 4 + 8 * output_row<kCols>(e)] = acc[0][n][e];
    }
  }
}

// Warps of a block, at most. Two blocks fit on a multiprocessor, so that one loads while the other
// adds its slices.
template <int kGroups>
inline constexpr uint32_t kFewWarps = kGroups == 1 ? 16 : 8;

template <TensorType type, int kGroups, int kCols>
LH_KERNEL(kFewWarps<kGroups> * 32, 2)
few_rows(LH_KERNEL_ARGUMENT MatmulArgs args) {
  using F = LaneFormat<type>;
  constexpr uint32_t kRows = kFewRows<kGroups, kCols>;
  const TaskArgs& task = args.tasks[find_task(args, block_x())];
  const uint32_t tile = block_x() - task.first_block;
  const uint32_t first_group = block_y() * kGroups;
  auto* sums = reinterpret_cast<float*>(shared_memory());  // [n_slices][kRows][kSumStride]

#pragma unroll 1
  for (uint32_t slice = thread_id() / 32; slice < args.n_slices; slice += n_threads() / 32) {
    float acc[1][kGroups][2 * kCols] = {};
    sum_slice<F, kGroups, kCols>(args,
                                 task.w + static_cast<size_t>(tile) * args.n_units * F::L::kBytes,
                                 first_group, slice, thread_id() % 32, acc);
    keep_sums<kGroups, kCols>(acc, thread_id() % 32, sums + slice * kRows * kSumStride);
    if constexpr (kFewWarps<kGroups> >= kMaxSlices) break;  // no loop, which saves registers
  }
  wait_for_block();
  for (uint32_t i = thread_id(); i < kRows * kTileRows; i += n_threads()) {
    const uint32_t row = i / kTileRows;
    const uint32_t out = i % kTileRows;
    const float* from = sums + row * kSumStride + out;
    float sum = from[0];
    for (uint32_t s = 1; s < args.n_slices; ++s) sum = add_rn(sum, from[s * kRows * kSumStride]);
    const uint32_t y_row = first_group * kGroupRows + row;
    const uint32_t y_out = tile * kTileRows + out;
    if (y_row >= args.n_rows || y_out >= task.n_out) continue;
    task.y[y_row * task.y_stride + y_out] =
        finish<F>(sum, row_scale_of<F>(args, y_row), bias_of(task, y_out));
  }
}

}  // namespace longhaul::cuda
