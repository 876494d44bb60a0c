#include <cuda_fp16.h>

#include "cuda/launch_kernel.cuh"
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

// 1 / sqrt(mean(row^2) + eps).
__device__ float inverse_rms(const float* row, uint32_t n, float eps, float* scratch) {
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) sum = __fmaf_rn(row[i], row[i], sum);
  return inverse_of(block_sum(sum, scratch), n, eps);
}

__global__ void rms_norm_kernel(Rows x, const float* weight, float eps, Rows out) {
  __shared__ float scratch[32];
  const float* const row = x.data + blockIdx.x * x.stride;
  float* const to = out.data + blockIdx.x * out.stride;
  const float inverse = inverse_rms(row, x.n_cols, eps, scratch);
  for (uint32_t i = threadIdx.x; i < x.n_cols; i += blockDim.x)
    to[i] = __fmul_rn(__fmul_rn(row[i], inverse), weight[i]);
}

__global__ void add_kernel(Rows x, Rows y, const float* norm, float eps) {
  __shared__ float scratch[32];
  float* const to = x.data + blockIdx.x * x.stride;
  const float* const row = y.data + blockIdx.x * y.stride;
  const float inverse = norm == nullptr ? 1.0F : inverse_rms(row, x.n_cols, eps, scratch);
  for (uint32_t i = threadIdx.x; i < x.n_cols; i += blockDim.x) {
    const float add = norm == nullptr ? row[i] : __fmul_rn(__fmul_rn(row[i], inverse), norm[i]);
    to[i] = __fadd_rn(to[i], add);
  }
}

__global__ void add_then_norm_kernel(Rows x, Rows y, const float* weight, float eps, Rows out) {
  __shared__ float scratch[32];
  float* const row = x.data + blockIdx.x * x.stride;
  const float* const more = y.data + blockIdx.x * y.stride;
  float* const to = out.data + blockIdx.x * out.stride;
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < x.n_cols; i += blockDim.x) {
    const float value = __fadd_rn(row[i], more[i]);
    row[i] = value;
    sum = __fmaf_rn(value, value, sum);
  }
  const float inverse = inverse_of(block_sum(sum, scratch), x.n_cols, eps);
  for (uint32_t i = threadIdx.x; i < x.n_cols; i += blockDim.x)
    to[i] = __fmul_rn(__fmul_rn(row[i], inverse), weight[i]);
}

// A warp for each head. Its lanes hold numbers i, i + 32, ...
__global__ void rotate_kernel(Heads heads, Heads others, const float* cos, const float* sin,
                              uint32_t n_pairs, bool halves, float eps) {
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

template <float (*kActivation)(float)>
__global__ void activate_kernel(Rows gate, Rows up) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= gate.n_cols) return;
  float* const g = gate.data + blockIdx.y * gate.stride + i;
  *g = __fmul_rn(kActivation(*g), up.data[blockIdx.y * up.stride + i]);
}

__global__ void gather_kernel(Rows from, const uint32_t* rows, Rows to) {
  const float* const row = from.data + rows[blockIdx.x] * from.stride;
  float* const out = to.data + blockIdx.x * to.stride;
  for (uint32_t i = threadIdx.x; i < to.n_cols; i += blockDim.x) out[i] = row[i];
}

__global__ void add_scaled_kernel(Rows from, const uint32_t* rows, const float* weights, Rows to) {
  const float* const row = from.data + blockIdx.x * from.stride;
  float* const out = to.data + rows[blockIdx.x] * to.stride;
  const float weight = weights[blockIdx.x];
  for (uint32_t i = threadIdx.x; i < to.n_cols; i += blockDim.x)
    out[i] = __fadd_rn(out[i], __fmul_rn(row[i], weight));
}

__global__ void angles_kernel(const uint32_t* positions, const double* frequencies,
                              uint32_t n_pairs, double magnitude, float* cos, float* sin) {
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

}  // namespace

void rms_norm(cudaStream_t stream, Rows x, const float* weight, float eps, Rows out) {
  launch_kernel(stream, rms_norm_kernel, {x.n_rows, kThreads}, x, weight, eps, out);
}

void add_then_norm(cudaStream_t stream, Rows x, Rows y, const float* weight, float eps, Rows out) {
  launch_kernel(stream, add_then_norm_kernel, {x.n_rows, kThreads}, x, y, weight, eps, out);
}

void add(cudaStream_t stream, Rows x, Rows y, const float* norm, float eps) {
  launch_kernel(stream, add_kernel, {x.n_rows, kThreads}, x, y, norm, eps);
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

void silu_mul(cudaStream_t stream, Rows gate, Rows up) {
  const dim3 grid(blocks_for(gate.n_cols), gate.n_rows);
  launch_kernel(stream, activate_kernel<silu>, {grid, kThreads}, gate, up);
}

void gelu_mul(cudaStream_t stream, Rows gate, Rows up) {
  const dim3 grid(blocks_for(gate.n_cols), gate.n_rows);
  launch_kernel(stream, activate_kernel<gelu>, {grid, kThreads}, gate, up);
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
