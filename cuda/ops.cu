#include <cuda_fp16.h>

#include "cuda/launch_kernel.cuh"
#include "cuda/linear_round.h"
#include "cuda/ops.h"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kThreads = 256;

// The sum over the threads of a block, in one fixed order, for all of them. `scratch` [32].
__device__ float block_sum(float x, float* scratch) {
  for (uint32_t offset = 16; offset > 0; offset /= 2)
    x = __fadd_rn(x, __shfl_xor_sync(0xffffffffU, x, offset));
  const uint32_t warp = threadIdx.x / 32;
  __syncthreads();  // the scratch of a sum before this one
  if (threadIdx.x % 32 == 0) scratch[warp] = x;
  __syncthreads();
  float sum = 0;
  for (uint32_t i = 0; i < blockDim.x / 32; ++i) sum = __fadd_rn(sum, scratch[i]);
  return sum;
}

__device__ float inverse_of(float squares, uint32_t n, float eps) {
  const float mean = __fdiv_rn(squares, static_cast<float>(n));
  return __fdiv_rn(1.0F, __fsqrt_rn(__fadd_rn(mean, eps)));
}

__device__ float4 added(float4 a, float4 b) {
  return {__fadd_rn(a.x, b.x), __fadd_rn(a.y, b.y), __fadd_rn(a.z, b.z), __fadd_rn(a.w, b.w)};
}
__device__ float4 scaled(float4 a, float by) {
  return {__fmul_rn(a.x, by), __fmul_rn(a.y, by), __fmul_rn(a.z, by), __fmul_rn(a.w, by)};
}
__device__ float4 multiplied(float4 a, float4 b) {
  return {__fmul_rn(a.x, b.x), __fmul_rn(a.y, b.y), __fmul_rn(a.z, b.z), __fmul_rn(a.w, b.w)};
}
__device__ float squares_after(float sum, float4 x) {
  return __fmaf_rn(x.w, x.w, __fmaf_rn(x.z, x.z, __fmaf_rn(x.y, x.y, __fmaf_rn(x.x, x.x, sum))));
}

__device__ float4* quads(const Rows& rows, uint32_t row) {
  return reinterpret_cast<float4*>(rows.data + row * rows.stride);
}

// 1 / sqrt(mean(x^2) + eps) of quad(i), i < n_quads, which each thread calls for its own.
template <class F>
__device__ float inverse_rms(uint32_t n_quads, float eps, float* scratch, const F& quad) {
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < n_quads; i += blockDim.x) sum = squares_after(sum, quad(i));
  return inverse_of(block_sum(sum, scratch), 4 * n_quads, eps);
}

constexpr uint32_t kNormThreads = 512;  // of a row, whatever its length: the tree of its sum

// A row to a block; to round them, also the rows that fill up the last group.
template <bool kRounds>
__global__ void __launch_bounds__(kNormThreads) norm_kernel(Norm args, PrepareArgs rounded) {
  __shared__ float scratch[32];
  wait_for_earlier();
  const uint32_t row = blockIdx.x;
  const uint32_t n_quads = row < args.x.n_rows ? args.x.n_cols / 4 : 0;
  float4* const x = quads(args.x, row);
  const float4* const more = args.more.n_rows > 0 ? quads(args.more, row) : nullptr;
  const float inverse = inverse_rms(n_quads, args.eps, scratch, [&](uint32_t i) {
    if (more == nullptr) return x[i];
    return x[i] = added(x[i], more[i]);
  });
  const auto* const weight = reinterpret_cast<const float4*>(args.weight);
  float4* const out = quads(args.out, row);
  const uint32_t n = kRounds ? rounded.n_blocks * 8 : n_quads;  // whole warps
  for (uint32_t i = threadIdx.x; i < n; i += kNormThreads) {
    float4 value = {};
    if (i < n_quads) out[i] = value = multiplied(scaled(x[i], inverse), weight[i]);
    if constexpr (kRounds) round_quad(rounded, row, i, value);
  }
}

__global__ void __launch_bounds__(kNormThreads) add_kernel(Rows x, Rows y, const float* norm,
                                                           float eps) {
  __shared__ float scratch[32];
  wait_for_earlier();
  float4* const to = quads(x, blockIdx.x);
  const float4* const from = quads(y, blockIdx.x);
  const auto* const weight = reinterpret_cast<const float4*>(norm);
  const uint32_t n_quads = x.n_cols / 4;
  float inverse = 0.0F;
  if (norm != nullptr)
    inverse = inverse_rms(n_quads, eps, scratch, [&](uint32_t i) { return from[i]; });
  for (uint32_t i = threadIdx.x; i < n_quads; i += kNormThreads) {
    const float4 y_quad = from[i];
    to[i] = added(to[i], norm == nullptr ? y_quad : multiplied(scaled(y_quad, inverse), weight[i]));
  }
}

// A warp for each head. Its lanes hold numbers i, i + 32, ...
__global__ void rotate_kernel(Heads heads, Heads others, const float* cos, const float* sin,
                              uint32_t n_pairs, bool halves, float eps) {
  wait_for_earlier();
  uint32_t head = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  const uint32_t n_heads = heads.rows.n_cols / heads.head_dim;
  if (head >= n_heads) {
    head -= n_heads;
    heads = others;
    if (head * heads.head_dim >= heads.rows.n_cols) return;
  }
  const uint32_t lane = threadIdx.x % 32;
  float* const row = heads.rows.data + blockIdx.y * heads.rows.stride + head * heads.head_dim;
  if (heads.norm != nullptr) {
    float sum = 0;
    for (uint32_t i = lane; i < heads.head_dim; i += 32) sum = __fmaf_rn(row[i], row[i], sum);
    for (uint32_t offset = 16; offset > 0; offset /= 2)
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffU, sum, offset));
    const float inverse = inverse_of(sum, heads.head_dim, eps);
    for (uint32_t i = lane; i < heads.head_dim; i += 32)
      row[i] = __fmul_rn(__fmul_rn(row[i], inverse), heads.norm[i]);
    __syncwarp();
  }
  for (uint32_t i = lane; i < n_pairs; i += 32) {
    const uint32_t first = halves ? i : 2 * i;
    const uint32_t second = halves ? i + n_pairs : 2 * i + 1;
    const float c = cos[blockIdx.y * n_pairs + i];
    const float s = sin[blockIdx.y * n_pairs + i];
    const float a = row[first];
    const float b = row[second];
    row[first] = __fsub_rn(__fmul_rn(a, c), __fmul_rn(b, s));
    row[second] = __fadd_rn(__fmul_rn(a, s), __fmul_rn(b, c));
  }
}

__device__ float silu(float x) { return __fdiv_rn(x, __fadd_rn(1.0F, expf(-x))); }

__device__ float gelu(float x) {
  constexpr float kRoot = 0.7978845608028654F;  // sqrt(2 / pi)
  const float cube = __fmul_rn(__fmul_rn(x, x), x);
  const float t = tanhf(__fmul_rn(kRoot, __fmaf_rn(0.044715F, cube, x)));
  return __fmul_rn(__fmul_rn(0.5F, x), __fadd_rn(1.0F, t));
}

template <bool kGelu>
__device__ float activated(float gate, float up) {
  return __fmul_rn(kGelu ? gelu(gate) : silu(gate), up);
}

// 4 numbers to a thread; second grid axis: rows, as in norm_kernel.
template <bool kGelu, bool kRounds>
__global__ void activate_kernel(Activated args, PrepareArgs rounded) {
  wait_for_earlier();
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32_t row = blockIdx.y;
  float4 value = {};
  if (row < args.gate.n_rows && i < args.gate.n_cols / 4) {
    float4* const gate = quads(args.gate, row) + i;
    const float4 g = *gate;
    const float4 up = quads(args.up, row)[i];
    value = {activated<kGelu>(g.x, up.x), activated<kGelu>(g.y, up.y), activated<kGelu>(g.z, up.z),
             activated<kGelu>(g.w, up.w)};
    *gate = value;
  }
  if constexpr (kRounds) round_quad(rounded, row, i, value);
}

__global__ void gather_kernel(Rows from, const uint32_t* rows, Rows to) {
  wait_for_earlier();
  const float* const row = from.data + rows[blockIdx.x] * from.stride;
  float* const out = to.data + blockIdx.x * to.stride;
  for (uint32_t i = threadIdx.x; i < to.n_cols; i += blockDim.x) out[i] = row[i];
}

__global__ void add_scaled_kernel(Rows from, const uint32_t* rows, const float* weights, Rows to) {
  wait_for_earlier();
  const float* const row = from.data + blockIdx.x * from.stride;
  float* const out = to.data + rows[blockIdx.x] * to.stride;
  const float weight = weights[blockIdx.x];
  for (uint32_t i = threadIdx.x; i < to.n_cols; i += blockDim.x)
    out[i] = __fadd_rn(out[i], __fmul_rn(row[i], weight));
}

__global__ void angles_kernel(const uint32_t* positions, const double* frequencies,
                              uint32_t n_pairs, double magnitude, float* cos, float* sin) {
  wait_for_earlier();
  for (uint32_t i = threadIdx.x; i < n_pairs; i += blockDim.x) {
    double s = 0;
    double c = 0;
    sincos(static_cast<double>(positions[blockIdx.x]) * frequencies[i], &s, &c);
    cos[blockIdx.x * n_pairs + i] = static_cast<float>(c * magnitude);
    sin[blockIdx.x * n_pairs + i] = static_cast<float>(s * magnitude);
  }
}

__device__ uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

__global__ void fill_tiles_kernel(KvLayer kv, const uint32_t* pages, uint32_t first_tile,
                                  uint64_t seed) {
  wait_for_earlier();
  const uint32_t tile = first_tile + blockIdx.x;
  const uint32_t n = 2 * kTile * kv.dim;  // K and V
  std::byte* const page = kv.tiles + blockIdx.y * kv.tile_head_stride +
                          pages[tile / kv.page_tiles()] * kv.tile_page_stride;
  __half* const to = reinterpret_cast<__half*>(page) + tile % kv.page_tiles() * n;
  for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
    const uint64_t place =
        (static_cast<uint64_t>(blockIdx.y) << 56U) + (static_cast<uint64_t>(tile) << 20U) + i + 1;
    const uint64_t bits = mixed(place * 0x9E3779B97F4A7C15U + seed);
    float sum = 0;
    for (uint32_t j = 0; j < 4; ++j)
      sum += static_cast<float>(bits >> (16 * j) & 0xffffU) / 65536.0F - 0.5F;
    to[i] = __float2half(sum * 1.7320508F);  // four uniform numbers have a variance of 1 / 3
  }
}

uint32_t blocks_for(uint32_t n) { return (n + kThreads - 1) / kThreads; }

uint32_t padded_to_groups(uint32_t n_rows) { return divide_up(n_rows, kGroupRows) * kGroupRows; }

void check_quads(const Rows& rows) {
  LH_CHECK(rows.n_cols % 4 == 0 && rows.stride % 4 == 0);
  LH_CHECK(reinterpret_cast<uintptr_t>(rows.data) % 16 == 0);
}

template <bool kGelu>
void activate(cudaStream_t stream, const Activated& args, const PrepareArgs* rounded) {
  if (rounded == nullptr) {
    const dim3 grid(blocks_for(args.gate.n_cols / 4), args.gate.n_rows);
    launch_kernel(stream, activate_kernel<kGelu, false>, {grid, kThreads}, args, PrepareArgs());
    return;
  }
  const dim3 grid(blocks_for(rounded->n_blocks * 8), padded_to_groups(args.gate.n_rows));
  launch_kernel(stream, activate_kernel<kGelu, true>, {grid, kThreads}, args, *rounded);
}

}  // namespace

void norm(cudaStream_t stream, const Norm& args, const PrepareArgs* rounded) {
  for (const Rows& rows : {args.x, args.more, args.out}) check_quads(rows);
  if (rounded == nullptr) {
    launch_kernel(stream, norm_kernel<false>, {args.x.n_rows, kNormThreads}, args, PrepareArgs());
    return;
  }
  launch_kernel(stream, norm_kernel<true>, {padded_to_groups(args.x.n_rows), kNormThreads}, args,
                *rounded);
}

void add(cudaStream_t stream, Rows x, Rows y, const float* norm, float eps) {
  check_quads(x);
  check_quads(y);
  launch_kernel(stream, add_kernel, {x.n_rows, kNormThreads}, x, y, norm, eps);
}

void rotate(cudaStream_t stream, Heads heads, Heads others, const float* cos, const float* sin,
            uint32_t n_pairs, bool halves, float eps) {
  constexpr uint32_t kWarps = kThreads / 32;
  uint32_t n_heads = heads.rows.n_cols / heads.head_dim;
  if (others.rows.n_cols > 0) n_heads += others.rows.n_cols / others.head_dim;
  const dim3 grid((n_heads + kWarps - 1) / kWarps, heads.rows.n_rows);
  launch_kernel(stream, rotate_kernel, {grid, kThreads}, heads, others, cos, sin, n_pairs, halves,
                eps);
}

void activate(cudaStream_t stream, const Activated& args, const PrepareArgs* rounded) {
  check_quads(args.gate);
  check_quads(args.up);
  args.is_gelu ? activate<true>(stream, args, rounded) : activate<false>(stream, args, rounded);
}

void gather(cudaStream_t stream, Rows from, const uint32_t* rows, Rows to) {
  launch_kernel(stream, gather_kernel, {to.n_rows, kThreads}, from, rows, to);
}

void add_scaled(cudaStream_t stream, Rows from, const uint32_t* rows, const float* weights,
                Rows to) {
  launch_kernel(stream, add_scaled_kernel, {from.n_rows, kThreads}, from, rows, weights, to);
}

void angles(cudaStream_t stream, const uint32_t* positions, uint32_t n_rows,
            const double* frequencies, uint32_t n_pairs, double magnitude, float* cos, float* sin) {
  launch_kernel(stream, angles_kernel, {n_rows, 128}, positions, frequencies, n_pairs, magnitude,
                cos, sin);
}

void fill_tiles(cudaStream_t stream, const KvLayer& kv, const uint32_t* pages, uint32_t first_tile,
                uint32_t end_tile, uint64_t seed) {
  if (first_tile >= end_tile) return;
  const dim3 grid(end_tile - first_tile, kv.n_kv_heads);
  launch_kernel(stream, fill_tiles_kernel, {grid, kThreads}, kv, pages, first_tile, seed);
}

}  // namespace longhaul::cuda
