// Attention of longer steps (prefill, rectification, verification): a block of 8 warps has up to 128
// queries of one (step, KV head) and either walks through the text or computes one span of it. A
// warp has 16 of the queries; all share K and V, which come through a ring in shared memory.
//
// Shared memory of a block: 64 KB for 64 dims, 96 KB for 96, 128 KB for 128, 192 KB for 256. Cards of
// compute capability 8.6 and 8.9 have less than 128, those of 8.0 less than 192.
#include "cuda/attention_blocks.cuh"
#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kWarps = kChunkQueries / kTileQueries;
constexpr uint32_t kThreads = kWarps * kWarp;
constexpr uint32_t kRing = 4;  // parts: K or V of a group

template <int kDim>
constexpr uint32_t kPartChunks = kGroupTiles<kDim>* tile_chunks(kDim);
template <int kDim>
constexpr uint32_t kGroupTokens = kGroupTiles<kDim>* kTile;

// Groups of the text.
struct GroupRange {
  uint32_t first, end;
};

// The state of a warp's span: m and l in registers, o in shared memory, a lane's own 16 bytes per 8
// dims.
template <int kDim>
struct SpanState {
  float m[2], l[2];
  bool is_empty;  // nothing was merged into it; then o holds anything
  float4* o;      // [dim / 8][lane], at this lane

  __device__ __forceinline__ void clear() {
    m[0] = m[1] = kEmpty;
    l[0] = l[1] = 0.0F;
    is_empty = true;
  }
  // Merges the state of a segment.
  __device__ __forceinline__ void merge(WarpState<kDim>& from) {
    join_sums<kDim>(from);
    Weights weights[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      weights[row] = merge_maxima(m[row], from.m[row]);
      l[row] = merged(weights[row], l[row], from.l[row]);
    }
#pragma unroll
    for (int dims = 0; dims < kDim / 8; ++dims) {
      const float4 old = is_empty ? float4{0.0F, 0.0F, 0.0F, 0.0F} : o[dims * kWarp];
      const auto& x = from.o[dims];
      o[dims * kWarp] = {merged(weights[0], old.x, x[0]), merged(weights[0], old.y, x[1]),
                         merged(weights[1], old.z, x[2]), merged(weights[1], old.w, x[3])};
    }
    is_empty = false;
  }
};

// The sums over the spans so far, in global memory likewise.
template <int kDim>
struct TextState {
  float m[2] = {kEmpty, kEmpty};
  float l[2] = {0.0F, 0.0F};
  bool is_empty = true;
  float4* o;

  // Merges a span; `finish` is called with (8 dims, sums) instead of keeping them if it is the last.
  template <class Finish>
  __device__ __forceinline__ void merge(const SpanState<kDim>& from, bool is_last,
                                        const Finish& finish) {
    Weights weights[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      weights[row] = merge_maxima(m[row], from.m[row]);
      l[row] = merged(weights[row], l[row], from.l[row]);
    }
#pragma unroll 4
    for (int dims = 0; dims < kDim / 8; ++dims) {
      const float4 old = is_empty ? float4{0.0F, 0.0F, 0.0F, 0.0F} : o[dims * kWarp];
      const float4 x = from.is_empty ? float4{0.0F, 0.0F, 0.0F, 0.0F} : from.o[dims * kWarp];
      const float4 sums = {merged(weights[0], old.x, x.x), merged(weights[0], old.y, x.y),
                           merged(weights[1], old.z, x.z), merged(weights[1], old.w, x.w)};
      if (is_last) {
        finish(dims, sums, l);
      } else {
        o[dims * kWarp] = sums;
      }
    }
    is_empty = false;
  }
};

// What the warps of a block share.
template <int kDim>
struct Job {
  const AttendArgs& args;
  const QueryBlock block;
  uint32_t head;
  uint32_t first_tile, last_tile;  // those that a row of the block sees
  uint4* ring;

  // Begins to copy part 2 * group + (0: K, 1: V) of the text to a place of the ring.
  __device__ __forceinline__ void fetch(uint32_t group, uint32_t value, uint32_t place) const {
    const KvLayer& kv = args.kv;
    const uint32_t first = group * kGroupTiles<kDim>;
    // A group lies in one page.
    const uint32_t page = args.pass.pages[block.step.first_page + first / kv.page_tiles()];
    const std::byte* tiles = kv.tiles + head * kv.tile_head_stride + page * kv.tile_page_stride +
                             first % kv.page_tiles() * size_t{2 * tile_bytes(kDim)};
    uint4* to = ring + place * kPartChunks<kDim>;
#pragma unroll
    for (uint32_t i = 0; i < kPartChunks<kDim> / kThreads; ++i) {
      const uint32_t chunk = i * kThreads + threadIdx.x;
      const uint32_t tile = chunk / tile_chunks(kDim);
      const uint32_t at = (tile + value) * tile_chunks(kDim) + chunk;  // K and V alternate
      const bool valid = first + tile >= first_tile && first + tile <= last_tile;
      copy_async(to + chunk, reinterpret_cast<const uint4*>(tiles) + (valid ? at : 0), valid);
    }
  }

  // Clears what was never written in the V of a group: every thread in what it copied.
  __device__ __forceinline__ void clear_unwritten(uint32_t group, uint32_t place) const {
    const uint32_t last_pos = block.step.first_pos + block.step.n_rows - 1;
    const uint32_t first = group * kGroupTiles<kDim>;
    if (last_pos / kTile < first || last_pos / kTile >= first + kGroupTiles<kDim>) return;
    uint4* part = ring + place * kPartChunks<kDim>;
    for (uint32_t chunk = threadIdx.x; chunk < kPartChunks<kDim>; chunk += kThreads) {
      if (first + chunk / tile_chunks(kDim) != last_pos / kTile) continue;
      uint4 x = part[chunk];
      clear_tokens(x, chunk % kWarp, last_pos % kTile + 1);
      part[chunk] = x;
    }
  }
};

// A warp's 16 queries.
template <int kDim>
struct WarpRows {
  Queries<kDim> q;
  Visible visible;               // of the lane's rows
  uint32_t first_pos, last_pos;  // of the first and the last row of the warp
  bool has_rows;

  __device__ __forceinline__ WarpRows(const Job<kDim>& job, uint32_t warp, uint32_t lane) {
    const AttendArgs& args = job.args;
    const StepRows& step = job.block.step;
    const uint32_t n_queries = step.n_rows * args.n_group;
    const uint32_t first = job.block.first_query + warp * kTileQueries;
    has_rows = first < n_queries;
    first_pos = step.first_pos + min(first, n_queries - 1) / args.n_group;
    last_pos = step.first_pos + (min(first + kTileQueries, n_queries) - 1) / args.n_group;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t query = first + accumulator_row(lane, half);
      const uint32_t row = min(query, n_queries - 1) / args.n_group;
      const size_t head = job.head * args.n_group + query % args.n_group;
      const float* from = query < n_queries
                              ? args.q + (step.first_row + row) * args.q_stride + head * kDim
                              : nullptr;
      load_query<kDim>(from, lane, half, args.scale, q);
      visible.last[half] = step.first_pos + row;
      visible.first[half] = first_visible(visible.last[half], args.kv.window);
    }
  }
  // Whether a row sees a token of [first, end).
  __device__ __forceinline__ bool sees(uint32_t first, uint32_t end, uint32_t window) const {
    return has_rows && first <= last_pos && end > first_visible(first_pos, window);
  }
  // Whether all rows see all of them.
  __device__ __forceinline__ bool sees_all(uint32_t first, uint32_t end, uint32_t window) const {
    return end <= first_pos + 1 && first >= first_visible(last_pos, window);
  }
};

// Scores, softmax and sums of a group, for one warp. Waits for K, then for V, with the others.
template <int kDim>
struct Walk {
  const Job<kDim>& job;
  const WarpRows<kDim>& rows;
  uint32_t lane;
  GroupRange groups;
  uint32_t place = 0;

  // Part `part` of the walk: K and V of its first group, of its second ...
  __device__ __forceinline__ void fetch(uint32_t part, uint32_t at) const {
    const uint32_t group = groups.first + part / 2;
    if (group < groups.end) job.fetch(group, part % 2, at);
    end_copies();
  }
  __device__ __forceinline__ void begin() const {
    for (uint32_t part = 0; part + 1 < kRing; ++part) fetch(part, part);
  }
  // Waits until part `part` is there for all, and fetches another to where the one before it was.
  __device__ __forceinline__ void arrive(uint32_t part) {
    wait_copies<kRing - 2>();
    if (part % 2 == 1) job.clear_unwritten(groups.first + part / 2, place);
    __syncthreads();
    fetch(part + kRing - 1, (place + kRing - 1) % kRing);
  }
  __device__ __forceinline__ void group(uint32_t number, WarpState<kDim>& state) {
    const uint32_t first = number * kGroupTokens<kDim>;
    const uint32_t end = first + kGroupTokens<kDim>;
    const uint32_t part = (number - groups.first) * 2;
    const uint32_t window = job.args.kv.window;
    const bool sees = rows.sees(first, end, window);
    Scores<kDim> s;
    arrive(part);
    if (sees) {
      score_group<kDim>(job.ring + place * kPartChunks<kDim>, lane, rows.q, s);
      if (!rows.sees_all(first, end, window)) {
        const auto tile = [&](int i) { return number * kGroupTiles<kDim> + i; };
        hide_tokens<kDim>(tile, rows.visible, lane, s);
      }
      softmax_group<kDim>(s, state);
    }
    place = (place + 1) % kRing;
    arrive(part + 1);
    if (sees) add_values<kDim>(job.ring + place * kPartChunks<kDim>, lane, s, state);
    place = (place + 1) % kRing;
  }
};

// Leaves the state of a span for the merge.
template <int kDim>
__device__ __forceinline__ void write_state(const AttendArgs& args, const SpanState<kDim>& span,
                                            size_t first_slot, uint32_t lane) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const size_t slot = first_slot + accumulator_row(lane, half);
    if (lane % 4 == 0) args.states.ml[slot] = {span.m[half], span.l[half]};
    float* to = args.states.o + slot * kDim + accumulator_column(lane, 0);
#pragma unroll 4
    for (int dims = 0; dims < kDim / 8; ++dims) {
      float2 sums = {0.0F, 0.0F};
      if (!span.is_empty) {
        const float4 x = span.o[dims * kWarp];
        sums = half == 0 ? float2{x.x, x.y} : float2{x.z, x.w};
      }
      *reinterpret_cast<float2*>(to + dims * 8) = sums;
    }
  }
}

// Writes 8 dims of the output for the lane's two queries.
template <int kDim>
__device__ __forceinline__ void write_output(const Job<kDim>& job, uint32_t warp, uint32_t lane,
                                             int dims, const float4& o, const float (&l)[2]) {
  const AttendArgs& args = job.args;
  const StepRows& step = job.block.step;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t query =
        job.block.first_query + warp * kTileQueries + accumulator_row(lane, half);
    if (query >= step.n_rows * args.n_group) continue;
    const size_t head = job.head * args.n_group + query % args.n_group;
    float* to = args.out + (step.first_row + query / args.n_group) * args.out_stride + head * kDim +
                dims * 8 + accumulator_column(lane, 0);
    const float inverse = inverse_sum(l[half]);
    const float2 sums = half == 0 ? float2{o.x, o.y} : float2{o.z, o.w};
    *reinterpret_cast<float2*>(to) = {__fmul_rn(sums.x, inverse), __fmul_rn(sums.y, inverse)};
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads, kDim == 64 ? 2 : 1) attend_chunks(AttendArgs args) {
  uint4* const memory = reinterpret_cast<uint4*>(shared_memory());
  wait_for_earlier();
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  const bool is_split = args.n_units > 1;
  const QueryBlock block = find_query_block(args.pass, args.n_group, blockIdx.x);
  if (!block.is_there) return;
  const Spans spans = spans_of(block, args.n_group, args.kv.window);
  if (is_split && spans.first + blockIdx.z > spans.last) return;
  const uint32_t first_span = spans.first + (is_split ? blockIdx.z : 0);
  const uint32_t last_span = is_split ? first_span : spans.last;

  const Job<kDim> job{args,  block, blockIdx.y, spans.first_token / kTile, spans.last_token / kTile,
                      memory};
  constexpr uint32_t kSpanGroups = kSpanTokens / kGroupTokens<kDim>;
  constexpr uint32_t kSegmentGroups = kSegmentTokens / kGroupTokens<kDim>;
  const GroupRange groups = {
      max(spans.first_token / kGroupTokens<kDim>, first_span * kSpanGroups),
      min(spans.last_token / kGroupTokens<kDim> + 1, (last_span + 1) * kSpanGroups)};

  const size_t place = size_t{blockIdx.x} * args.kv.n_kv_heads + job.head;
  const WarpRows<kDim> rows(job, warp, lane);
  Walk<kDim> walk{job, rows, lane, groups};
  walk.begin();
  SpanState<kDim> span;
  span.o = reinterpret_cast<float4*>(memory + kRing * kPartChunks<kDim>) +
           warp * (kDim / 8) * kWarp + lane;
  span.clear();
  TextState<kDim> text;
  text.o = reinterpret_cast<float4*>(args.states.o +
                                     (place * kChunkQueries + warp * kTileQueries) * kDim) +
           lane;
  WarpState<kDim> state;
  state.clear();
  for (uint32_t group = groups.first; group < groups.end; ++group) {
    walk.group(group, state);
    const bool is_last = group + 1 == groups.end;
    if ((group + 1) % kSegmentGroups == 0 || is_last) {
      span.merge(state);
      state.clear();
    }
    if (is_split || ((group + 1) % kSpanGroups != 0 && !is_last)) continue;
    text.merge(span, is_last, [&](int dims, const float4& o, const float(&l)[2]) {
      write_output<kDim>(job, warp, lane, dims, o, l);
    });
    span.clear();
  }
  if (is_split) {
    const size_t unit = place * args.n_units + blockIdx.z;
    write_state<kDim>(args, span, unit * kChunkQueries + warp * kTileQueries, lane);
  }
}

template <int kDim>
void launch(cudaStream_t stream, const AttendArgs& args, uint32_t n_blocks) {
  constexpr uint32_t kBytes =
      kRing * kPartChunks<kDim> * kChunkBytes + kChunkQueries * kDim * sizeof(float);
  static const cudaError_t status = allow_shared_memory(attend_chunks<kDim>, kBytes);
  LH_CUDA(status);
  const dim3 grid(n_blocks, args.kv.n_kv_heads, args.n_units);
  launch_kernel(stream, attend_chunks<kDim>, {grid, kThreads, kBytes}, args);
}

}  // namespace

void launch_chunks(cudaStream_t stream, const AttendArgs& args, uint32_t n_blocks) {
  for_dim(args.kv.dim, [&](auto dim) { launch<dim()>(stream, args, n_blocks); });
}

}  // namespace longhaul::cuda
