// Writes K and V into tiles, and the bounds of the blocks touched.
#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kStoreThreads = 128;

// The K tile that holds the token at `pos`.
__device__ std::byte* tile_of(const Pass& pass, const KvLayer& kv, const StepRows& step,
                              uint32_t head, uint32_t pos) {
  const uint32_t page = pass.pages[step.first_page + pos / kv.page_tokens()];
  return kv.tiles + head * kv.tile_head_stride + page * kv.tile_page_stride +
         pos % kv.page_tokens() / kTile * size_t{2 * tile_bytes(kv.dim)};
}

// K and V of one row and head.
__device__ void store_row(const StoreArgs& args, const StepRows& step, uint32_t row,
                          uint32_t head) {
  const KvLayer& kv = args.kv;
  const uint32_t pos = step.first_pos + row - step.first_row;
  std::byte* tile = tile_of(args.pass, kv, step, head, pos);
  auto* k_tile = reinterpret_cast<__half*>(tile);
  auto* v_tile = reinterpret_cast<__half*>(tile + tile_bytes(kv.dim));
  const float* k = args.k + row * args.k_stride + head * kv.dim;
  const float* v = args.v + row * args.v_stride + head * kv.dim;
  for (uint32_t dim = threadIdx.x; dim < kv.dim; dim += kStoreThreads) {
    k_tile[k_offset(pos % kTile, dim, kv.dim)] = __float2half_rn(bounded(k[dim]));
    v_tile[v_offset(pos % kTile, dim)] = __float2half_rn(bounded(v[dim]));
  }
}

// 32 dimensions of a box, one to a lane, relative to the origin of the group.
struct LaneBox {
  float lowest, highest;

  __device__ float middle() const { return __fmul_rn(0.5F, __fadd_rn(lowest, highest)); }
  __device__ void subtract(float x) {
    lowest = __fsub_rn(lowest, x);
    highest = __fsub_rn(highest, x);
  }
};

__device__ float limited(float x) {  // NaN is not less
  return fabsf(x) < kBoundsLargestKey ? x : copysignf(kBoundsLargestKey, x);
}

__device__ float warp_max(float x) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, i));
  return x;
}

// The least half with which the code n reaches x >= 0.
__device__ __half step_for(float x, float n) {
  const __half step = __float2half_ru(__fdiv_rn(x, n));
  const bool reaches = __fmul_rn(__half2float(step), n) >= x;
  return reaches ? step : __ushort_as_half(__half_as_ushort(step) + 1);
}

// The box around the keys of a block, tokens [first, end) of the sequence.
__device__ LaneBox box_of(const Pass& pass, const KvLayer& kv, const StepRows& step, uint32_t head,
                          uint32_t dim, uint32_t first, uint32_t end) {
  LaneBox box = {};
  for (uint32_t pos = first; pos < end; ++pos) {
    const auto* tile = reinterpret_cast<const __half*>(tile_of(pass, kv, step, head, pos));
    const float key = __half2float(tile[k_offset(pos % kTile, dim, kv.dim)]);
    // As std::min and std::max do it, for NaN too.
    box.lowest = pos == first || key < box.lowest ? key : box.lowest;
    box.highest = pos == first || key > box.highest ? key : box.highest;
  }
  return {limited(box.lowest), limited(box.highest)};
}

// The origin that a box gives its group: where it lies farther from zero than it is wide.
struct Origin {
  float step;
  int8_t code;
};
__device__ Origin origin_from(const LaneBox& box) {
  const float middle = box.middle();
  const bool is_far = fabsf(middle) > __fsub_rn(box.highest, box.lowest);
  const float far = is_far ? middle : 0.0F;
  const __half step = step_for(warp_max(fabsf(far)), kBoundsLargestOrigin);
  const float value = __half2float(step);
  const float per_step = value == 0.0F ? 0.0F : __fdiv_rn(1.0F, value);
  return {value, static_cast<int8_t>(__float2int_rn(__fmul_rn(far, per_step)))};
}

// Writes the bounds of block `lane_in_group`, 32 dimensions of it: as kernels/block_bounds.cc does,
// rounding by rounding.
__device__ void set_bounds(std::byte* group, uint32_t lane_in_group, uint32_t chunk, uint32_t dim,
                           LaneBox box, const Origin& origin) {
  const uint32_t lane = threadIdx.x % kWarp;
  box.subtract(__fmul_rn(static_cast<float>(origin.code), origin.step));

  const __half centre_step = step_for(warp_max(fabsf(box.middle())), kBoundsLargestCode);
  const float centre_value = __half2float(centre_step);
  const float per_step = centre_value == 0.0F ? 0.0F : __fdiv_rn(0.5F, centre_value);
  const float steps = rintf(__fadd_rn(__fmul_rn(box.middle(), per_step), kBoundsLargestCode / 2));
  const float centre = fminf(fmaxf(steps, 0.0F), kBoundsLargestCode);
  box.subtract(__fmul_rn(centre_value, __fsub_rn(__fadd_rn(centre, centre), kBoundsLargestCode)));

  const float needed = fmaxf(fmaxf(box.highest, -box.lowest), 0.0F);
  const float radius = __fadd_rn(needed, __fmul_rn(0x1p-20F, __fadd_rn(needed, centre_value)));
  const __half radius_step =
      step_for(warp_max(radius), kBoundsLargestCode + static_cast<float>(kBoundsRadiusFloor));
  const float radius_value = __half2float(radius_step);
  float code = 0.0F;
  if (radius_value != 0.0F) {
    code = ceilf(__fdiv_rn(radius, radius_value));
    if (__fmul_rn(code, radius_value) < radius) code = __fadd_rn(code, 1.0F);
    code = fmaxf(__fsub_rn(code, static_cast<float>(kBoundsRadiusFloor)), 0.0F);
    code = fminf(code, kBoundsLargestCode);
  }
  const auto byte = static_cast<uint8_t>(static_cast<int>(centre) + 16 * static_cast<int>(code));
  auto* bytes = reinterpret_cast<uint8_t*>(group);
  bytes[codes_at(lane_in_group, chunk * kKeyDims + lane, dim) + lane % 4] = byte;
  if (lane != 0) return;
  *reinterpret_cast<__half*>(bytes + centre_step_at(lane_in_group, chunk)) = centre_step;
  *reinterpret_cast<__half*>(bytes + radius_step_at(lane_in_group, chunk)) = radius_step;
}

// Where 32 dimensions of the bounds of a group of 16 blocks lie, and the rows that changed it.
struct GroupPart {
  StepRows step;
  uint32_t head, group, chunk;
};

// Sets the bounds of the blocks that the rows of a step touch in a group, every n_warps-th from
// `warp` on. Where the first block of the group is among them, the rows go to the end of the
// sequence and so does what is set anew.
__device__ void set_part(const Pass& pass, const KvLayer& kv, const GroupPart& part, uint32_t warp,
                         uint32_t n_warps) {
  const StepRows& step = part.step;
  const uint32_t end = step.first_pos + step.n_rows;
  const uint32_t group_first = part.group * kv.page_tokens();
  const uint32_t page = pass.pages[step.first_page + part.group];
  std::byte* bounds = kv.bounds + part.head * kv.bounds_head_stride + page * kv.bounds_page_stride;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t dim = part.chunk * kKeyDims + lane;
  const auto box_from = [&](uint32_t first) {
    return box_of(pass, kv, step, part.head, dim, first, min(first + kv.block_size, end));
  };
  const uint32_t first_block =
      step.first_pos > group_first ? (step.first_pos - group_first) / kv.block_size : 0;
  auto* origin_step = reinterpret_cast<float*>(bounds + origin_step_at(part.chunk, kv.dim));
  std::byte* origin_code = bounds + origin_at(dim, kv.dim);
  Origin origin;
  if (first_block == 0) {
    origin = origin_from(box_from(group_first));
    if (warp == 0) *origin_code = static_cast<std::byte>(origin.code);
    if (warp == 0 && lane == 0) *origin_step = origin.step;
  } else {
    origin = {*origin_step, static_cast<int8_t>(*origin_code)};
  }
  for (uint32_t block = first_block + warp; block < kGroupLanes; block += n_warps) {
    const uint32_t first = group_first + block * kv.block_size;
    if (first >= end) break;
    set_bounds(bounds, block, part.chunk, kv.dim, box_from(first), origin);
  }
}

__global__ void __launch_bounds__(kStoreThreads) store_rows(StoreArgs args) {
  wait_for_earlier();
  store_row(args, args.pass.steps[args.pass.row_steps[blockIdx.x]], blockIdx.x, blockIdx.y);
}

// For passes of one row per step: its own block of threads has all that the bounds need.
__global__ void __launch_bounds__(kStoreThreads) store_single_rows(StoreArgs args) {
  wait_for_earlier();
  const StepRows step = args.pass.steps[args.pass.row_steps[blockIdx.x]];
  store_row(args, step, blockIdx.x, blockIdx.y);
  __syncthreads();
  const uint32_t group = step.first_pos / args.kv.page_tokens();
  for (uint32_t chunk = threadIdx.x / kWarp; chunk < args.kv.dim / kKeyDims;
       chunk += kStoreThreads / kWarp)
    set_part(args.pass, args.kv, {step, blockIdx.y, group, chunk}, 0, 1);
}

constexpr uint32_t kBoundsWarps = 4;

struct BoundsArgs {
  Pass pass;
  KvLayer kv;
  uint32_t n_groups;  // that the grid provides for each step
};

// One group of 16 blocks, 32 dimensions.
__global__ void __launch_bounds__(kBoundsWarps* kWarp) set_group_bounds(BoundsArgs args) {
  wait_for_earlier();
  const StepRows step = args.pass.steps[blockIdx.z];
  const uint32_t group = step.first_pos / args.kv.page_tokens() + blockIdx.x % args.n_groups;
  if (group * args.kv.page_tokens() >= step.first_pos + step.n_rows) return;
  set_part(args.pass, args.kv, {step, blockIdx.y, group, blockIdx.x / args.n_groups},
           threadIdx.x / kWarp, kBoundsWarps);
}

}  // namespace

void launch_store(cudaStream_t stream, const StoreArgs& args) {
  const dim3 grid(args.pass.n_rows, args.kv.n_kv_heads);
  const LaunchShape shape = {grid, kStoreThreads, 0};
  if (args.kv.bounds != nullptr && args.pass.n_rows == args.pass.n_steps) {
    launch_kernel(stream, store_single_rows, shape, args);
    return;
  }
  launch_kernel(stream, store_rows, shape, args);
  if (args.kv.bounds != nullptr) launch_bounds(stream, args.pass, args.kv);
}

void launch_bounds(cudaStream_t stream, const Pass& pass, const KvLayer& kv) {
  // The most that the rows of a step can reach into.
  const uint32_t n_rows = pass.n_rows - pass.n_steps + 1;
  const uint32_t n_groups = (n_rows - 1 + kv.page_tokens() - 1) / kv.page_tokens() + 1;
  const dim3 grid(n_groups * (kv.dim / kKeyDims), kv.n_kv_heads, pass.n_steps);
  const BoundsArgs args = {pass, kv, n_groups};
  launch_kernel(stream, set_group_bounds, {grid, kBoundsWarps * kWarp}, args);
}

}  // namespace longhaul::cuda
