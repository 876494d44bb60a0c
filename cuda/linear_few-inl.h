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

// Warps of a block, at most. Two blocks fit on a multiprocessor, so that one loads while the other
// adds its slices.
template <int kGroups>
inline constexpr uint32_t kFewWarps = kGroups == 1 ? 16 : 8;

// Of a block: rows of activations; and floats from one row of a slice's sums to the next, which
// keeps the lanes of a warp in different banks.
template <int kGroups, int kCols>
inline constexpr uint32_t kFewRows = kCols == 1 ? 4 : uint32_t{kGroups} * kGroupRows;
inline constexpr uint32_t kSumStride = kTileRows + 4;

// Sums of one slice [kTiles][kFewRows][kSumStride] for each warp; and the sums of earlier slices,
// where a warp has more than one.
template <int kTiles, int kGroups, int kCols>
inline constexpr uint32_t kSliceSums = uint32_t{kTiles} * kFewRows<kGroups, kCols>* kSumStride;
template <int kTiles, int kGroups, int kCols>
constexpr uint32_t few_shared_bytes(uint32_t n_slices) {
  const uint32_t n_kept = n_slices > kFewWarps<kGroups> ? kFewWarps<kGroups> + 1 : n_slices;
  return n_kept * kSliceSums<kTiles, kGroups, kCols> * static_cast<uint32_t>(sizeof(float));
}

// The weights of a block: its tiles, which follow one another.
template <int kTiles>
struct FewTiles {
  const std::byte* first;
  size_t stride;  // to the next; 0 past the last tile of the matrix, where any will do
};

template <class F, int kTiles, int kGroups, int kCols>
LH_DEVICE void sum_slice(const MatmulArgs& args, const FewTiles<kTiles>& tiles,
                         uint32_t first_group, uint32_t slice, uint32_t lane,
                         float (&acc)[kTiles][kGroups][2 * kCols]) {
  const uint32_t begin = slice * args.slice_units;
  const uint32_t n_left = args.n_units - begin;
  const uint32_t n_units = n_left < args.slice_units ? n_left : args.slice_units;
  constexpr uint32_t kUnitBlocks = F::L::kSteps * F::kBlocks;
  GlobalSource<kCols> x(args.x, first_group, begin * kUnitBlocks, lane);
  const std::byte* unit = tiles.first + static_cast<size_t>(begin) * F::L::kBytes;
  // Steps whose loads are under way at once: more would not leave registers for two blocks on a
  // multiprocessor, which together have enough under way.
  constexpr uint32_t kAtOnce = F::L::kSteps < 2 || kTiles > 1 ? 1 : 2;
  // What is not under way yet comes as far as the second-level cache: a unit ahead.
  const bool prefetches = args.prefetch == Prefetch::kAhead && lane < kTiles;
#pragma unroll 1
  for (uint32_t left = n_units; left > 0; --left, unit += F::L::kBytes) {
    if (prefetches && left > 1)
      prefetch_to_l2(unit + F::L::kBytes + lane * tiles.stride, F::L::kBytes);
    typename F::Head heads[kTiles];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      heads[m] = F::load_head(unit + m * tiles.stride, lane, LoadStreaming());
#pragma unroll 1
    for (uint32_t s = 0; s < F::L::kSteps; s += kAtOnce) {
      typename F::Step steps[kAtOnce][kTiles];
#pragma unroll
      for (uint32_t i = 0; i < kAtOnce; ++i) {
#pragma unroll
        for (int m = 0; m < kTiles; ++m)
          steps[i][m] = F::load_step(unit + m * tiles.stride, lane, s + i, LoadStreaming());
      }
#pragma unroll
      for (uint32_t i = 0; i < kAtOnce; ++i)
        multiply_step<F, kCols, kTiles, kGroups>(steps[i], heads, x, i * F::kBlocks, acc);
      x.advance(kAtOnce * F::kBlocks);
    }
  }
}

// Puts a lane's part of a slice's sums where the block adds them.
template <int kTiles, int kGroups, int kCols>
LH_DEVICE void keep_sums(const float (&acc)[kTiles][kGroups][2 * kCols], uint32_t lane,
                         float* sums) {
#pragma unroll
  for (int m = 0; m < kTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
#pragma unroll
      for (int e = 0; e < 2 * kCols; ++e) {
        const uint32_t row = m * kFewRows<kGroups, kCols> + n * kGroupRows + lane % 4 * kCols +
                             output_column<kCols>(e);
        sums[row * kSumStride + lane / 4 + 8 * output_row<kCols>(e)] = acc[m][n][e];
      }
    }
  }
}

// Before the activations are there: the first unit of each warp comes to the second-level cache.
template <class F, int kTiles>
LH_DEVICE void prefetch_first(const MatmulArgs& args, const FewTiles<kTiles>& tiles) {
  const uint32_t lane = thread_id() % 32;
  const uint32_t slice = thread_id() / 32;
  if (args.prefetch == Prefetch::kNone || lane >= kTiles || slice >= args.n_slices) return;
  prefetch_to_l2(tiles.first + lane * tiles.stride +
                     static_cast<size_t>(slice) * args.slice_units * F::L::kBytes,
                 F::L::kBytes);
}

template <TensorType type, int kTiles, int kGroups, int kCols>
LH_KERNEL(kFewWarps<kGroups> * 32, 2)
few_rows(LH_KERNEL_ARGUMENT MatmulArgs args) {
  using F = LaneFormat<type>;
  constexpr uint32_t kRows = kFewRows<kGroups, kCols>;
  constexpr uint32_t kSums = kSliceSums<kTiles, kGroups, kCols>;
  const TaskArgs& task = args.tasks[find_task(args, block_x())];
  const uint32_t first_tile = (block_x() - task.first_block) * kTiles;
  const uint32_t first_group = block_y() * kGroups;
  const size_t tile_bytes = static_cast<size_t>(args.n_units) * F::L::kBytes;
  const FewTiles<kTiles> tiles = {task.w + first_tile * tile_bytes,
                                  (first_tile + 1) * kTileRows < task.n_out ? tile_bytes : 0};
  prefetch_first<F>(args, tiles);
  wait_for_earlier();
  auto* sums = reinterpret_cast<float*>(shared_memory());
  const uint32_t n_warps = n_threads() / 32;

#pragma unroll 1
  for (uint32_t first = 0; first < args.n_slices; first += n_warps) {
    const uint32_t warp = thread_id() / 32;
    if (first + warp < args.n_slices) {
      float acc[kTiles][kGroups][2 * kCols] = {};
      sum_slice<F, kTiles, kGroups, kCols>(args, tiles, first_group, first + warp, thread_id() % 32,
                                           acc);
      keep_sums<kTiles, kGroups, kCols>(acc, thread_id() % 32, sums + warp * kSums);
    }
    wait_for_block();
    const uint32_t n_left = args.n_slices - first;
    const uint32_t n_here = n_left < n_warps ? n_left : n_warps;
    for (uint32_t i = thread_id(); i < kTiles * kRows * kTileRows; i += n_threads()) {
      const uint32_t row = i / kTileRows % kRows;
      const uint32_t tile = i / kTileRows / kRows;
      float* from = sums + i / kTileRows * kSumStride + i % kTileRows;
      float* earlier = from + n_warps * kSums;
      float sum = first == 0 ? from[0] : add_rn(*earlier, from[0]);
      for (uint32_t s = 1; s < n_here; ++s) sum = add_rn(sum, from[s * kSums]);
      if (n_left > n_warps) {
        *earlier = sum;
        continue;
      }
      const uint32_t y_row = first_group * kGroupRows + row;
      const uint32_t y_out = (first_tile + tile) * kTileRows + i % kTileRows;
      if (y_row >= args.n_rows || y_out >= task.n_out) continue;
      task.y[y_row * task.y_stride + y_out] =
          finish<F>(sum, row_scale_of<F>(args, y_row), bias_of(task, y_out));
    }
    if constexpr (kFewWarps<kGroups> >= kMaxSlices) break;  // no loop, which saves registers
    wait_for_block();                                       // the sums are overwritten next
  }
}

}  // namespace longhaul::cuda
