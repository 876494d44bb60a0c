// Merges of softmax states: segments into spans and spans into the text, in ascending order, as the
// chunk kernel does in place.
#include "cuda/attention_blocks.cuh"
#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

// A state whose dims are spread over a warp: lane i has dims i, i + 32 ...
template <int kDim>
struct SpreadState {
  float m = kEmpty;
  float l = 0.0F;
  float o[kDim / 32] = {};
};

// Up to 8 states that lie `stride` states apart, loaded before the first is used; lane i has the m
// and l of state i.
template <int kDim>
struct Batch {
  static constexpr int kStates = 8;
  float2 ml;
  float o[kStates][kDim / 32];

  __device__ __forceinline__ void load(const StateMemory& from, size_t first, size_t stride,
                                       uint32_t n_states, uint32_t lane) {
    ml = lane < n_states ? from.ml[first + lane * stride] : float2{kEmpty, 0.0F};
#pragma unroll
    for (int i = 0; i < kStates; ++i) {
      const float* at = from.o + (first + i * stride) * kDim + lane;
#pragma unroll
      for (int j = 0; j < kDim / 32; ++j)
        o[i][j] = static_cast<uint32_t>(i) < n_states ? at[j * 32] : 0.0F;
    }
  }
  __device__ __forceinline__ void merge_into(SpreadState<kDim>& state) const {
#pragma unroll
    for (int i = 0; i < kStates; ++i) {
      const float m = __shfl_sync(kAllLanes, ml.x, i);
      const float l = __shfl_sync(kAllLanes, ml.y, i);
      const Weights weights = merge_maxima(state.m, m);
      state.l = merged(weights, state.l, l);
#pragma unroll
      for (int j = 0; j < kDim / 32; ++j) state.o[j] = merged(weights, state.o[j], o[i][j]);
    }
  }
};
static_assert(kSpanSegments == Batch<64>::kStates);

// Where the output of a query goes.
__device__ __forceinline__ float* output_of(const AttendArgs& args, const StepRows& step,
                                            uint32_t head, uint32_t query, uint32_t dim) {
  const size_t column = (head * args.n_group + query % args.n_group) * dim;
  return args.out + (step.first_row + query / args.n_group) * args.out_stride + column;
}

constexpr uint32_t kShortWarps = 16;

// A block of threads has one query. Its warps make the states of 16 spans, then all threads merge
// these, a dimension each.
template <int kDim>
__global__ void __launch_bounds__(kShortWarps* kWarp) merge_short(AttendArgs args) {
  __shared__ float2 span_ml[kShortWarps];
  __shared__ float span_o[kShortWarps][kDim];
  wait_for_earlier();
  const StepRows step = args.pass.steps[blockIdx.z];
  const uint32_t query = blockIdx.x;
  if (!is_short(step, args.n_group) || query >= step.n_rows * args.n_group) return;
  const uint32_t head = blockIdx.y;
  const Segments segments = segments_of(step, args.kv, is_listed(step, args.lists));
  const size_t unit = (size_t{blockIdx.z} * args.kv.n_kv_heads + head) * args.n_units;
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;

  const uint32_t dim = threadIdx.x % kDim;
  float m = kEmpty;
  float l = 0.0F;
  float o = 0.0F;
  const uint32_t last_span = segments.last / kSpanSegments;
  for (uint32_t first_span = segments.first / kSpanSegments; first_span <= last_span;
       first_span += kShortWarps) {
    const uint32_t span = first_span + warp;
    SpreadState<kDim> state;
    if (span <= last_span) {
      const uint32_t first = max(span * kSpanSegments, segments.first);
      const uint32_t end = min((span + 1) * kSpanSegments, segments.last + 1);
      Batch<kDim> batch;
      batch.load(args.states, (unit + first - segments.first) * args.n_slots + query, args.n_slots,
                 end - first, lane);
      batch.merge_into(state);
    }
    if (lane == 0) span_ml[warp] = {state.m, state.l};
#pragma unroll
    for (int j = 0; j < kDim / 32; ++j) span_o[warp][lane + j * 32] = state.o[j];
    __syncthreads();
    const uint32_t n_spans = min(kShortWarps, last_span - first_span + 1);
    for (uint32_t i = 0; i < n_spans; ++i) {
      const Weights weights = merge_maxima(m, span_ml[i].x);
      l = merged(weights, l, span_ml[i].y);
      o = merged(weights, o, span_o[i][dim]);
    }
    __syncthreads();
  }
  if (threadIdx.x < kDim)
    output_of(args, step, head, query, kDim)[dim] = __fmul_rn(o, inverse_sum(l));
}

constexpr uint32_t kChunkWarps = 8;

// A warp has one query of a block of queries and merges its spans.
template <int kDim>
__global__ void __launch_bounds__(kChunkWarps* kWarp) merge_chunks(AttendArgs args) {
  wait_for_earlier();
  const QueryBlock block = find_query_block(args.pass, args.n_group, blockIdx.x);
  const uint32_t in_block = blockIdx.z * kChunkWarps + threadIdx.x / kWarp;
  const uint32_t query = block.first_query + in_block;
  if (!block.is_there || query >= block.step.n_rows * args.n_group) return;
  const Spans spans = spans_of(block, args.n_group, args.kv.window);
  const uint32_t n_spans = spans.last - spans.first + 1;
  const uint32_t lane = threadIdx.x % kWarp;
  const size_t unit = (size_t{blockIdx.x} * args.kv.n_kv_heads + blockIdx.y) * args.n_units;
  SpreadState<kDim> state;
  for (uint32_t span = 0; span < n_spans; span += Batch<kDim>::kStates) {
    Batch<kDim> batch;
    batch.load(args.states, (unit + span) * kChunkQueries + in_block, kChunkQueries, n_spans - span,
               lane);
    batch.merge_into(state);
  }
  float* out = output_of(args, block.step, blockIdx.y, query, kDim);
  const float inverse = inverse_sum(state.l);
#pragma unroll
  for (int j = 0; j < kDim / 32; ++j) out[lane + j * 32] = __fmul_rn(state.o[j], inverse);
}

}  // namespace

void launch_merge_short(cudaStream_t stream, const AttendArgs& args) {
  const dim3 grid(args.n_slots, args.kv.n_kv_heads, args.pass.n_steps);
  for_dim(args.kv.dim, [&](auto dim) {
    launch_kernel(stream, merge_short<dim()>, {grid, kShortWarps * kWarp},
                  args);
  });
}

void launch_merge_chunks(cudaStream_t stream, const AttendArgs& args, uint32_t n_blocks) {
  const dim3 grid(n_blocks, args.kv.n_kv_heads, kChunkQueries / kChunkWarps);
  for_dim(args.kv.dim, [&](auto dim) {
    launch_kernel(stream, merge_chunks<dim()>, {grid, kChunkWarps * kWarp},
                  args);
  });
}

}  // namespace longhaul::cuda
