// Scores of all blocks from their bounds, for sparse steps: exact integer sums over the 32
// dimensions of a scale, as kernels/block_scores.cc.
#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kWarpGroups = 2;  // groups of 16 blocks that a warp scores

// The mean query of the group in 8-bit integers and their magnitudes, 4 to a word.
template <int kDim>
struct SharedQuery {
  int q[kDim / 4];
  int magnitude[kDim / 4];
  float scale[kDim / 32];
  int centre_start[kDim / 32];  // takes back the 15 in every centre
  int radius_start[kDim / 32];  // adds the floor of every radius
};

__device__ __forceinline__ int byte_of(int x, uint32_t i) {
  return static_cast<int>(static_cast<uint32_t>(x & 0xFF) << (i * 8));
}

// Warp `chunk` rounds 32 dimensions, one to a lane.
template <int kDim>
__device__ void round_query(const SelectArgs& args, const StepRows& step, uint32_t head,
                            uint32_t chunk, uint32_t lane, SharedQuery<kDim>& query) {
  const float* from = args.q + step.first_row * args.q_stride + head * args.n_group * kDim +
                      chunk * kKeyDims + lane;
  float mean = 0.0F;
  for (uint32_t i = 0; i < args.n_group; ++i) mean = __fadd_rn(mean, from[i * kDim]);
  mean = __fdiv_rn(mean, static_cast<float>(args.n_group));
  float largest = fabsf(mean);
#pragma unroll
  for (int i = 16; i > 0; i /= 2) largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, i));
  const bool is_finite = __all_sync(kAllLanes, isfinite(mean)) != 0;
  const float steps = __fdiv_rn(127.0F, largest);
  const bool is_usable = is_finite && isfinite(steps);  // not zero, nor too small to divide by
  int n = is_usable ? __float2int_rn(__fmul_rn(mean, steps)) : 0;
  n = min(max(n, -127), 127);
  const int sum = __reduce_add_sync(kAllLanes, n);
  const int sum_magnitude = __reduce_add_sync(kAllLanes, abs(n));
  int word = byte_of(n, lane % 4);
  int magnitude = byte_of(abs(n), lane % 4);
#pragma unroll
  for (int i = 1; i < 4; i *= 2) {
    word |= __shfl_xor_sync(kAllLanes, word, i);
    magnitude |= __shfl_xor_sync(kAllLanes, magnitude, i);
  }
  if (lane % 4 == 0) {
    query.q[(chunk * kKeyDims + lane) / 4] = word;
    query.magnitude[(chunk * kKeyDims + lane) / 4] = magnitude;
  }
  if (lane == 0) {
    query.scale[chunk] = is_usable ? __fdiv_rn(largest, 127.0F) : 0.0F;
    query.centre_start[chunk] = -15 * sum;
    query.radius_start[chunk] = kBoundsRadiusFloor * sum_magnitude;
  }
}

// q . origin, in all lanes: 4 dimensions to a lane.
template <int kDim>
__device__ float origin_score(const std::byte* group, const SharedQuery<kDim>& query,
                              uint32_t lane) {
  float total = 0.0F;
#pragma unroll
  for (int first = 0; first < kDim; first += 128) {
    const uint32_t dim = first + lane * 4;
    const bool is_there = dim < kDim;
    const uint32_t chunk = is_there ? dim / kKeyDims : 0;
    int sum = 0;
    if (is_there)
      sum =
          __dp4a(*reinterpret_cast<const int*>(group + origin_at(dim, kDim)), query.q[dim / 4], 0);
#pragma unroll
    for (int i = 1; i < 8; i *= 2) sum += __shfl_xor_sync(kAllLanes, sum, i);
    float part = 0.0F;
    if (is_there) {
      const float step = *reinterpret_cast<const float*>(group + origin_step_at(chunk, kDim));
      part = __fmul_rn(__fmul_rn(step, query.scale[chunk]), static_cast<float>(sum));
    }
    part = __fadd_rn(part, __shfl_xor_sync(kAllLanes, part, 8));
    part = __fadd_rn(part, __shfl_xor_sync(kAllLanes, part, 16));
    total = __fadd_rn(total, part);
  }
  return total;
}

// The score of block lane % 16 of a group in shared memory: half of the rows of 4 dimensions to each
// half of the warp.
template <int kDim>
__device__ float block_score(const std::byte* group, const SharedQuery<kDim>& query,
                             uint32_t lane) {
  const uint32_t block = lane % kGroupLanes;
  const uint32_t half = lane / kGroupLanes;
  float total = origin_score<kDim>(group, query, lane);
#pragma unroll
  for (int chunk = 0; chunk < kDim / 32; ++chunk) {
    int centre = 0;
    int radius = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t row = chunk * 8 + i * 2 + half;
      const uint32_t both =
          *reinterpret_cast<const uint32_t*>(group + codes_at(block, row * 4, kDim));
      centre = __dp4a(static_cast<int>(both & 0x0F0F0F0FU), query.q[row], centre);
      radius = __dp4a(static_cast<int>(both >> 4 & 0x0F0F0F0FU), query.magnitude[row], radius);
    }
    centre += __shfl_xor_sync(kAllLanes, centre, 16);
    radius += __shfl_xor_sync(kAllLanes, radius, 16);
    const float scale = query.scale[chunk];
    const float centre_step =
        __half2float(*reinterpret_cast<const __half*>(group + centre_step_at(block, chunk)));
    const float radius_step =
        __half2float(*reinterpret_cast<const __half*>(group + radius_step_at(block, chunk)));
    total = __fmaf_rn(static_cast<float>(2 * centre + query.centre_start[chunk]),
                      __fmul_rn(centre_step, scale), total);
    total = __fmaf_rn(static_cast<float>(radius + query.radius_start[chunk]),
                      __fmul_rn(radius_step, scale), total);
  }
  return total;
}

// The groups of a block of threads, in shared memory.
template <int kDim>
constexpr uint32_t kSharedBytes = kWarps* kWarpGroups* bounds_bytes(kDim);

// Copies a group to shared memory, a chunk to a lane.
template <int kDim>
__device__ void fetch_group(const std::byte* group, uint4* to, uint32_t lane) {
  const auto* from = reinterpret_cast<const uint4*>(group);
  for (uint32_t i = lane; i < bounds_bytes(kDim) / kChunkBytes; i += kWarp)
    copy_async(to + i, from + i, true);
}

// All groups are on their way before the query is rounded.
template <int kDim>
__global__ void __launch_bounds__(kWarps* kWarp) score_groups(SelectArgs args) {
  uint4* const memory = reinterpret_cast<uint4*>(shared_memory());
  __shared__ SharedQuery<kDim> query;
  wait_for_earlier();
  const KvLayer& kv = args.kv;
  const StepRows step = args.pass.steps[blockIdx.z];
  const uint32_t head = blockIdx.y;
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t n_blocks = step.first_pos / kv.block_size + 1;
  const uint32_t n_groups = (n_blocks - 1) / kGroupLanes + 1;
  const uint32_t first_group = (blockIdx.x * kWarps + warp) * kWarpGroups;
  if (!is_listed(step, args.lists) || blockIdx.x * kWarps * kWarpGroups >= n_groups) return;

  uint4* groups = memory + warp * (kSharedBytes<kDim> / kWarps / kChunkBytes);
  const std::byte* base = kv.bounds + head * kv.bounds_head_stride;
  const uint32_t* pages = args.pass.pages + step.first_page + first_group;
#pragma unroll
  for (uint32_t i = 0; i < kWarpGroups; ++i) {
    if (first_group + i >= n_groups) break;
    fetch_group<kDim>(base + pages[i] * kv.bounds_page_stride,
                      groups + i * (bounds_bytes(kDim) / kChunkBytes), lane);
  }
  end_copies();
  for (uint32_t chunk = warp; chunk < kDim / kKeyDims; chunk += kWarps)
    round_query<kDim>(args, step, head, chunk, lane, query);
  wait_copies<0>();
  __syncthreads();

  float* scores =
      args.lists.scores + (size_t{blockIdx.z} * kv.n_kv_heads + head) * args.lists.stride;
#pragma unroll
  for (uint32_t i = 0; i < kWarpGroups; ++i) {
    const uint32_t group = first_group + i;
    if (group >= n_groups) return;
    const auto* bounds = reinterpret_cast<const std::byte*>(groups) + i * bounds_bytes(kDim);
    float score = block_score<kDim>(bounds, query, lane);
    const uint32_t block = group * kGroupLanes + lane;
    if (block < step.n_sinks || block + step.n_local >= n_blocks) score = INFINITY;
    if (lane < kGroupLanes && block < n_blocks) scores[block] = score;
  }
}

template <int kDim>
void launch(cudaStream_t stream, const SelectArgs& args, const dim3& grid) {
  constexpr uint32_t kBytes = kSharedBytes<kDim>;
  static const cudaError_t status = allow_shared_memory(score_groups<kDim>, kBytes);
  LH_CUDA(status);
  launch_kernel(stream, score_groups<kDim>, {grid, kWarps * kWarp, kBytes}, args);
}

}  // namespace

void launch_scores(cudaStream_t stream, const SelectArgs& args) {
  const uint32_t n_blocks = (args.pass.max_context - 1) / args.kv.block_size + 1;
  constexpr uint32_t kBlocks = kWarps * kWarpGroups * kGroupLanes;
  const dim3 grid((n_blocks - 1) / kBlocks + 1, args.kv.n_kv_heads, args.pass.n_steps);
  for_dim(args.kv.dim, [&](auto dim) { launch<dim()>(stream, args, grid); });
}

}  // namespace longhaul::cuda
