// The launches behind cuda/linear.h. Private to this room; all of them only put work on the stream.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"
#include "cuda/linear_file.h"
#include "cuda/linear_layout.h"

namespace longhaul::cuda {

// Rows of activations in fragment order, in one of their two forms.
struct FragmentView {
  const uint2* fragments;   // [n_groups][n_blocks][32 lanes]
  const float2* scales;     // 8 bits: [n_groups][n_blocks][8 rows], scale and scale * sum of codes
  const float* row_scales;  // f16: [n_rows]; null for 8 bits
  uint32_t n_blocks;
};

// y [n_rows, n_out] = x W^T + bias.
struct TaskArgs {
  const std::byte* w;  // [n_tiles][n_units]
  float* y;
  size_t y_stride;
  const float* bias;  // [n_out] or null
  uint32_t n_out;
  uint32_t first_block;  // of the launch's first grid axis; see place_tasks()
};

inline constexpr uint32_t kMaxTasks = 8;

// Which weights come to the second-level cache before they are read, in the kernel for few rows (from
// sm_90 on): none; the first of each warp, while the activations are still being made; or those and
// later always the next.
enum class Prefetch : uint8_t { kNone, kFirst, kAhead };

// Tasks of one type that read the same activations.
struct MatmulArgs {
  FragmentView x;
  TaskArgs tasks[kMaxTasks];
  uint32_t n_tasks;
  uint32_t n_rows;
  uint32_t n_units;
  uint32_t slice_units;  // of a slice of the sums; the last may have fewer
  uint32_t n_slices;
  Prefetch prefetch;
};

// Says of how many units the inputs are, and how they are cut in slices.
inline void set_units(MatmulArgs& args, uint32_t n_units) {
  args.n_units = n_units;
  args.slice_units = units_per_slice(n_units);
  args.n_slices = divide_up(n_units, args.slice_units);
}

// Gives each task its blocks of `rows_per_block` output rows, one task after another; returns their
// number.
inline uint32_t place_tasks(MatmulArgs& args, uint32_t rows_per_block) {
  uint32_t n_blocks = 0;
  for (uint32_t i = 0; i < args.n_tasks; ++i) {
    args.tasks[i].first_block = n_blocks;
    n_blocks += divide_up(args.tasks[i].n_out, rows_per_block);
  }
  return n_blocks;
}

// The shape of the kernel for many rows: 4 warps of 2 tiles by 8 groups.
inline constexpr uint32_t kManyWarps = 4;
inline constexpr uint32_t kManyTiles = 2;
inline constexpr uint32_t kManyGroups = 8;
inline constexpr uint32_t kManyOutputs = kManyWarps * kManyTiles * kTileRows;
inline constexpr uint32_t kManyRows = kManyGroups * kGroupRows;

// Activations are kept for whole groups of this many rows, so that a kernel may read past the last.
inline constexpr uint32_t kPaddedRows = kManyRows;

// The kernel for few rows: a block is a tile of outputs, and its warps share the slices of the sum.
// Serves any number of rows, at most 32 a block. From 17 rows on a block is two tiles, where that
// still gives two_tiles_from_blocks of them. Any type of Layout<>.
void launch_few(cudaStream_t stream, TensorType type, const MatmulArgs& args,
                size_t two_tiles_from_blocks);
// The kernel for many rows: a block is 128 outputs by 64 rows. The same bits.
void launch_many(cudaStream_t stream, TensorType type, const MatmulArgs& args);

// y = x W^T + bias for F32 and BF16 weights [n_out, n_in] in the file's layout, x [n_rows, n_in] in
// f32: fused multiply-adds in f32 in one fixed order. Meant for small matrices.
struct FloatArgs {
  const float* x;
  size_t x_stride;
  const std::byte* w;
  float* y;
  size_t y_stride;
  const float* bias;
  uint32_t n_rows;
  uint32_t n_out;
  uint32_t n_in;
};
void launch_float(cudaStream_t stream, TensorType type, const FloatArgs& args);

// Rounds rows of x [n_rows, n_cols] to 8 bits, as kernels/linear.h does, or to f16, in fragment
// order. n_cols is a multiple of 32; rows of zeros fill up the last group.
struct PrepareArgs {
  const float* x;
  size_t stride;  // a multiple of 4
  uint32_t n_rows;
  uint32_t n_cols;
  uint32_t n_blocks;  // of a group
  uint32_t* fragments;
  float2* scales;     // 8 bits
  float* row_scales;  // f16
};
void launch_prepare_q8(cudaStream_t stream, const PrepareArgs& args);
void launch_prepare_f16(cudaStream_t stream, const PrepareArgs& args);

// Brings tiles from the file's layout, on the device, into fragment order.
void launch_pack(cudaStream_t stream, TensorType type, const FileMatrix& from, uint32_t n_tiles,
                 uint32_t n_units, uint32_t* to);

// out [n_rows, n_cols] = scale * rows `tokens` of a table in the file's layout. A token outside
// [0, n_table_rows) gives a row of NaN.
struct EmbedArgs {
  const std::byte* table;
  size_t n_table_rows;
  uint32_t n_cols;
  const int32_t* tokens;  // [n_rows]
  uint32_t n_rows;
  float scale;
  float* out;
};
void launch_embed(cudaStream_t stream, TensorType type, const EmbedArgs& args);

}  // namespace longhaul::cuda
