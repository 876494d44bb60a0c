// The kernel for many rows of activations. A block makes 128 outputs of 64 rows: each of its 4 warps
// makes two tiles of outputs, over all inputs. Weights and activations come to shared memory unit by
// unit, some units ahead. The sums are cut in the same slices as in the kernel for few rows.
#pragma once

#include "cuda/linear_few-inl.h"

namespace longhaul::cuda {

// A stage of shared memory: one unit of the block's tiles and groups.
template <TensorType type>
struct Stage {
  using F = LaneFormat<type>;
  using L = Layout<type>;
  static constexpr uint32_t kBlocks = L::kSteps * F::kBlocks;  // of activations, in a unit
  static constexpr uint32_t kFragments = kManyWarps * kManyTiles * L::kBytes;  // where they start
  static constexpr uint32_t kGroupFragmentBytes = kBlocks * kFragmentBytes;
  static constexpr uint32_t kScales = kFragments + kManyGroups * kGroupFragmentBytes;
  static constexpr uint32_t kGroupScaleBytes =
      F::kScaled ? kBlocks * kGroupRows * static_cast<uint32_t>(sizeof(float2)) : 0;
  static constexpr uint32_t kBytes = kScales + kManyGroups * kGroupScaleBytes;
  // As many as leave room for two blocks on a multiprocessor.
  static constexpr int kStages = kBytes < 32 * 1024 ? 3 : 2;
  static_assert(kFragments % 16 == 0 && kGroupScaleBytes % 16 == 0);
};

// Copies kBytes with one warp.
template <uint32_t kBytes>
LH_DEVICE void copy_async_warp(std::byte* to, const std::byte* from, uint32_t lane) {
#pragma unroll
  for (uint32_t first = 0; first < kBytes; first += 32 * 16) {
    const uint32_t at = first + lane * 16;
    if (first + 32 * 16 <= kBytes || at < kBytes) copy_async(to + at, from + at);
  }
}

// What a warp brings to each stage: its own tiles, and a share of the groups.
template <TensorType type>
class StageCopier {
 public:
  using S = Stage<type>;
  static constexpr uint32_t kGroups = kManyGroups / kManyWarps;

  LH_DEVICE StageCopier(const MatmulArgs& args, const TaskArgs& task, uint32_t first_tile,
                        uint32_t first_group, uint32_t warp, uint32_t lane)
      : warp_(warp), lane_(lane) {
    const uint32_t last_tile = divide_up(task.n_out, kTileRows) - 1;
#pragma unroll
    for (uint32_t m = 0; m < kManyTiles; ++m) {
      const uint32_t tile = first_tile + warp * kManyTiles + m;  // past the end: any that is there
      tiles_[m] = task.w + static_cast<size_t>(tile < last_tile ? tile : last_tile) * args.n_units *
                               S::L::kBytes;
    }
#pragma unroll
    for (uint32_t n = 0; n < kGroups; ++n) {
      const size_t block = static_cast<size_t>(first_group + warp * kGroups + n) * args.x.n_blocks;
      fragments_[n] = reinterpret_cast<const std::byte*>(args.x.fragments + block * 32);
      scales_[n] = reinterpret_cast<const std::byte*>(args.x.scales + block * kGroupRows);
    }
  }

  // The next unit.
  LH_DEVICE void copy(std::byte* stage) {
#pragma unroll
    for (uint32_t m = 0; m < kManyTiles; ++m) {
      copy_async_warp<S::L::kBytes>(stage + (warp_ * kManyTiles + m) * S::L::kBytes, tiles_[m],
                                    lane_);
      tiles_[m] += S::L::kBytes;
    }
#pragma unroll
    for (uint32_t n = 0; n < kGroups; ++n) {
      const uint32_t group = warp_ * kGroups + n;
      copy_async_warp<S::kGroupFragmentBytes>(
          stage + S::kFragments + group * S::kGroupFragmentBytes, fragments_[n], lane_);
      fragments_[n] += S::kGroupFragmentBytes;
      if constexpr (S::F::kScaled) {
        copy_async_warp<S::kGroupScaleBytes>(stage + S::kScales + group * S::kGroupScaleBytes,
                                             scales_[n], lane_);
        scales_[n] += S::kGroupScaleBytes;
      }
    }
  }

 private:
  uint32_t warp_;
  uint32_t lane_;
  const std::byte* tiles_[kManyTiles];
  const std::byte* fragments_[kGroups];
  const std::byte* scales_[kGroups];
};

// Activations of a stage.
template <TensorType type>
struct SharedSource {
  using S = Stage<type>;
  const std::byte* stage;
  uint32_t lane;

  LH_DEVICE uint2 fragment(uint32_t group, uint32_t block) const {
    return *reinterpret_cast<const uint2*>(stage + S::kFragments + group * S::kGroupFragmentBytes +
                                           block * kFragmentBytes + lane * sizeof(uint2));
  }
  LH_DEVICE ColumnScales<2> scales(uint32_t group, uint32_t block) const {
    const float4 pair = *reinterpret_cast<const float4*>(
        stage + S::kScales + group * S::kGroupScaleBytes + block * kGroupRows * sizeof(float2) +
        lane % 4 * sizeof(float4));
    return {{pair.x, pair.z}, {pair.y, pair.w}};
  }
};

// A warp's outputs: of the slice under way, and of the slices before it.
struct ManySums {
  float acc[kManyTiles][kManyGroups][4];
  float total[kManyTiles][kManyGroups][4];

  LH_DEVICE void end_slice(bool first) {
#pragma unroll
    for (uint32_t m = 0; m < kManyTiles; ++m) {
#pragma unroll
      for (uint32_t n = 0; n < kManyGroups; ++n) {
#pragma unroll
        for (uint32_t e = 0; e < 4; ++e) {
          total[m][n][e] = first ? acc[m][n][e] : add_rn(total[m][n][e], acc[m][n][e]);
          acc[m][n][e] = 0.0F;
        }
      }
    }
  }
};

template <TensorType type>
LH_DEVICE void multiply_stage(const std::byte* stage, uint32_t warp, uint32_t lane,
                              ManySums& sums) {
  using F = LaneFormat<type>;
  using L = Layout<type>;
  const std::byte* tiles = stage + warp * kManyTiles * L::kBytes;
  const SharedSource<type> x = {stage, lane};
  typename F::Head heads[kManyTiles];
#pragma unroll
  for (uint32_t m = 0; m < kManyTiles; ++m)
    heads[m] = F::load_head(tiles + m * L::kBytes, lane, LoadShared());
#pragma unroll 1
  for (uint32_t s = 0; s < L::kSteps; ++s) {
    typename F::Step steps[kManyTiles];
#pragma unroll
    for (uint32_t m = 0; m < kManyTiles; ++m)
      steps[m] = F::load_step(tiles + m * L::kBytes, lane, s, LoadShared());
    multiply_step<F, 2, kManyTiles, kManyGroups>(steps, heads, x, s * F::kBlocks, sums.acc);
  }
}

template <class F>
LH_DEVICE void store_outputs(const MatmulArgs& args, const TaskArgs& task, uint32_t first_row,
                             uint32_t first_out, uint32_t lane, const ManySums& sums) {
  float bias[kManyTiles][2];
#pragma unroll
  for (uint32_t i = 0; i < kManyTiles * 2; ++i)
    bias[i / 2][i % 2] = bias_of(task, first_out + lane / 4 + 8 * i);
#pragma unroll
  for (uint32_t i = 0; i < kManyGroups * 2; ++i) {
    const uint32_t row = first_row + i / 2 * kGroupRows + lane % 4 * 2 + i % 2;
    const float row_scale = row_scale_of<F>(args, row);
    float* y = task.y + row * task.y_stride;
#pragma unroll
    for (uint32_t j = 0; j < kManyTiles * 2; ++j) {
      const uint32_t out = first_out + lane / 4 + 8 * j;
      if (row < args.n_rows && out < task.n_out)
        y[out] =
            finish<F>(sums.total[j / 2][i / 2][j % 2 * 2 + i % 2], row_scale, bias[j / 2][j % 2]);
    }
  }
}

// Blocks of the first grid axis: for each 128 outputs, all the groups of 64 rows, so that blocks
// which run together share weights.
template <TensorType type>
LH_KERNEL(kManyWarps * 32, 2)
many_rows(LH_KERNEL_ARGUMENT MatmulArgs args) {
  wait_for_earlier();
  using S = Stage<type>;
  const uint32_t lane = thread_id() % 32;
  const uint32_t warp = thread_id() / 32;
  const uint32_t n_row_blocks = divide_up(args.n_rows, kManyRows);
  const uint32_t row_block = block_x() % n_row_blocks;
  const TaskArgs& task = args.tasks[find_task(args, block_x() / n_row_blocks)];
  const uint32_t first_tile =
      (block_x() / n_row_blocks - task.first_block) * kManyWarps * kManyTiles;
  const uint32_t first_group = row_block * kManyGroups;

  StageCopier<type> copier(args, task, first_tile, first_group, warp, lane);
  for (uint32_t u = 0; u < S::kStages - 1; ++u) {
    if (u < args.n_units) copier.copy(shared_memory() + u * S::kBytes);
    end_copies();
  }
  ManySums sums = {};
  uint32_t left = args.slice_units;  // units of the slice
  bool first = true;
#pragma unroll 1
  for (uint32_t u = 0; u < args.n_units; ++u) {
    wait_copies<S::kStages - 2>();  // unit u is here, as far as this thread copied it
    wait_for_block();               // and all of it; and unit u - 1 is done with
    const uint32_t next = u + S::kStages - 1;
    if (next < args.n_units) copier.copy(shared_memory() + next % S::kStages * S::kBytes);
    end_copies();
    multiply_stage<type>(shared_memory() + u % S::kStages * S::kBytes, warp, lane, sums);
    if (--left == 0 || u + 1 == args.n_units) {
      sums.end_slice(first);
      first = false;
      left = args.slice_units;
    }
  }

  store_outputs<typename S::F>(args, task, first_group * kGroupRows,
                               (first_tile + warp * kManyTiles) * kTileRows, lane, sums);
}

}  // namespace longhaul::cuda
