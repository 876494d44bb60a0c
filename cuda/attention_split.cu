// Attention of short steps (decoding): a warp computes one segment of one (step, KV head) for up to
// 16 queries and leaves its state; merge_short joins them.
//
// K and V stream through a ring in shared memory that no other warp sees: a lane copies exactly the
// chunks that it reads itself, so that shared memory serves as registers that loads in flight can
// stay in, and nothing waits but for the lane's own copies.
#include "cuda/attention_kernels.h"
#include "cuda/attention_math.cuh"
#include "cuda/launch_kernel.cuh"

namespace longhaul::cuda {
namespace {

constexpr uint32_t kNoTile = 0x0FFFFFFFU;  // its tokens lie behind every row
constexpr int kRing = 3;                   // parts: K of a group, V of it, K of the next

template <int kDim>
constexpr uint32_t kPartChunks = kGroupTiles<kDim>* tile_chunks(kDim);

// What a warp has to do.
struct Work {
  StepRows step;
  uint32_t unit;  // of the grid
  uint32_t segment;
  uint32_t head;
  bool listed;
};

// The tiles of the segment; lane i < 16 has that of tile i.
struct LaneTile {
  uint32_t number;  // in the text
  const std::byte* address;
};

__device__ LaneTile find_tile(const AttendArgs& args, const Work& work, uint32_t lane) {
  const KvLayer& kv = args.kv;
  const uint32_t last = (work.step.first_pos + work.step.n_rows - 1) / kTile;
  const uint32_t first = first_visible(work.step.first_pos, kv.window) / kTile;
  uint32_t tile = work.segment * kSegmentTiles + lane;
  if (work.listed) {
    const uint32_t i = tile;
    const uint32_t* ids =
        args.lists.ids + (size_t{blockIdx.z} * kv.n_kv_heads + work.head) * args.lists.stride;
    const bool is_there = lane < kSegmentTiles && i < work.step.n_selected * kv.block_tiles();
    tile = is_there ? ids[i / kv.block_tiles()] * kv.block_tiles() + i % kv.block_tiles() : kNoTile;
  }
  const std::byte* base = kv.tiles + work.head * kv.tile_head_stride;
  if (lane >= kSegmentTiles || tile < first || tile > last) return {kNoTile, base};
  const uint32_t page = args.pass.pages[work.step.first_page + tile / kv.page_tiles()];
  return {tile, base + page * kv.tile_page_stride +
                    tile % kv.page_tiles() * size_t{2 * tile_bytes(kv.dim)}};
}

// A warp's way through its segment.
template <int kDim>
class Stream {
 public:
  __device__ Stream(uint4* ring, LaneTile tile, uint32_t lane)
      : ring_(ring), tile_(tile), lane_(lane) {
    there_ = __ballot_sync(kAllLanes, tile.number != kNoTile);
  }

  // Groups of the segment that have a tile.
  __device__ uint32_t first_group() const { return (__ffs(there_) - 1) / kGroupTiles<kDim>; }
  __device__ uint32_t end_group() const {
    return there_ == 0 ? 0 : (31 - __clz(there_)) / kGroupTiles<kDim> + 1;
  }
  __device__ uint32_t number(uint32_t group, int i) const {
    return __shfl_sync(kAllLanes, tile_.number, group * kGroupTiles<kDim> + i);
  }
  __device__ uint32_t group_bits(uint32_t bits, uint32_t group) const {
    return bits >> (group * kGroupTiles<kDim>)&((1U << kGroupTiles<kDim>)-1);
  }

  // Begins to copy the K (value 0) or V (value 1) of a group to a place of the ring.
  __device__ __forceinline__ void fetch(uint32_t group, uint32_t value, uint32_t place) const {
    uint4* to = ring_ + place * kPartChunks<kDim> + lane_;
    const auto address = reinterpret_cast<unsigned long long>(tile_.address);
#pragma unroll
    for (int i = 0; i < kGroupTiles<kDim>; ++i) {
      const uint32_t source = group * kGroupTiles<kDim> + i;
      const auto* from = reinterpret_cast<const uint4*>(__shfl_sync(kAllLanes, address, source)) +
                         value * tile_chunks(kDim) + lane_;
      const bool valid = (there_ >> source & 1) != 0;
#pragma unroll
      for (uint32_t chunk = 0; chunk < tile_chunks(kDim); chunk += kWarp)
        copy_async(to + i * tile_chunks(kDim) + chunk, from + chunk, valid);
    }
  }
  __device__ uint4* part(uint32_t place) const { return ring_ + place * kPartChunks<kDim>; }

 private:
  uint4* ring_;
  LaneTile tile_;
  uint32_t lane_;
  uint32_t there_;
};

// Clears what was never written in the V of a group that has the last tile of the step. A lane
// touches its own chunks only.
template <int kDim>
__device__ __forceinline__ void clear_unwritten(uint4* part, uint32_t lane, uint32_t tile,
                                                uint32_t n_tokens) {
  uint4* chunks = part + tile * tile_chunks(kDim) + lane;
#pragma unroll 1
  for (uint32_t i = 0; i < tile_chunks(kDim); i += kWarp) {
    uint4 chunk = chunks[i];
    clear_tokens(chunk, lane, n_tokens);
    chunks[i] = chunk;
  }
}

template <int kDim>
__device__ __forceinline__ void load_queries(const AttendArgs& args, const Work& work,
                                             uint32_t lane, Queries<kDim>& q) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t query = accumulator_row(lane, half);
    const uint32_t row = query / args.n_group;
    const size_t head = work.head * args.n_group + query % args.n_group;
    const float* from = row < work.step.n_rows
                            ? args.q + (work.step.first_row + row) * args.q_stride + head * kDim
                            : nullptr;
    load_query<kDim>(from, lane, half, args.scale, q);
  }
}

// The state of the segment.
template <int kDim>
__device__ __forceinline__ void walk(const AttendArgs& args, const Work& work,
                                     const Stream<kDim>& stream, LaneTile tile, uint32_t lane,
                                     WarpState<kDim>& state) {
  const StepRows& step = work.step;
  const uint32_t first = stream.first_group();
  const uint32_t end = stream.end_group();
  if (first < end) stream.fetch(first, 0, 0);
  end_copies();
  if (first < end) stream.fetch(first, 1, 1);
  end_copies();
  if (first + 1 < end) stream.fetch(first + 1, 0, 2);
  end_copies();

  Queries<kDim> q;  // meanwhile
  load_queries<kDim>(args, work, lane, q);
  Visible visible;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t row = accumulator_row(lane, half) / args.n_group;
    visible.last[half] = step.first_pos + (row < step.n_rows ? row : 0);
    visible.first[half] = first_visible(visible.last[half], args.kv.window);
  }
  const uint32_t last_pos = step.first_pos + step.n_rows - 1;
  const bool is_whole = tile.number != kNoTile && tile.number * kTile + 15 <= step.first_pos &&
                        tile.number * kTile >= first_visible(last_pos, args.kv.window);
  const uint32_t whole = __ballot_sync(kAllLanes, is_whole);
  const uint32_t unwritten =
      __ballot_sync(kAllLanes, tile.number == last_pos / kTile && last_pos % kTile != kTile - 1);

  state.clear();
  uint32_t place = 0;
  const auto next = [](uint32_t at) { return at + 1 == kRing ? 0 : at + 1; };
  for (uint32_t group = first; group < end; ++group) {
    Scores<kDim> s;
    wait_copies<kRing - 1>();
    score_group<kDim>(stream.part(place), lane, q, s);
    if (group + 1 < end) stream.fetch(group + 1, 1, place);
    end_copies();
    place = next(place);
    constexpr uint32_t kAll = (1U << kGroupTiles<kDim>)-1;
    if (stream.group_bits(whole, group) != kAll)
      hide_tokens<kDim>([&](int i) { return stream.number(group, i); }, visible, lane, s);
    softmax_group<kDim>(s, state);
    wait_copies<kRing - 1>();
    const uint32_t to_clear = stream.group_bits(unwritten, group);
    if (to_clear != 0)
      clear_unwritten<kDim>(stream.part(place), lane, __ffs(to_clear) - 1, last_pos % kTile + 1);
    add_values<kDim>(stream.part(place), lane, s, state);
    if (group + 2 < end) stream.fetch(group + 2, 0, place);
    end_copies();
    place = next(place);
  }
  join_sums<kDim>(state);
}

template <int kDim>
__global__ void __launch_bounds__(kWarp) attend_segments(AttendArgs args) {
  uint4* const ring = reinterpret_cast<uint4*>(shared_memory());
  wait_for_earlier();
  Work work;
  work.step = args.pass.steps[blockIdx.z];
  if (work.step.n_rows == 0 || !is_short(work.step, args.n_group)) return;
  work.listed = is_listed(work.step, args.lists);
  const Segments segments = segments_of(work.step, args.kv, work.listed);
  work.unit = blockIdx.x;
  work.segment = segments.first + work.unit;
  work.head = blockIdx.y;
  if (work.segment > segments.last) return;

  const uint32_t lane = threadIdx.x;
  const LaneTile tile = find_tile(args, work, lane);
  const Stream<kDim> stream(ring, tile, lane);
  WarpState<kDim> state;
  walk<kDim>(args, work, stream, tile, lane, state);

  const size_t unit =
      (size_t{blockIdx.z} * args.kv.n_kv_heads + work.head) * args.n_units + work.unit;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t query = accumulator_row(lane, half);
    if (query >= work.step.n_rows * args.n_group) continue;
    const size_t slot = unit * args.n_slots + query;
    if (lane % 4 == 0) args.states.ml[slot] = {state.m[half], state.l[half]};
    float* o = args.states.o + slot * kDim + accumulator_column(lane, 0);
#pragma unroll
    for (int dims = 0; dims < kDim / 8; ++dims) {
      *reinterpret_cast<float2*>(o + dims * 8) = {state.o[dims][half * 2],
                                                  state.o[dims][half * 2 + 1]};
    }
  }
}

template <int kDim>
void launch(cudaStream_t stream, const AttendArgs& args) {
  constexpr uint32_t kBytes = kRing * kPartChunks<kDim> * kChunkBytes;
  static const cudaError_t status = allow_shared_memory(attend_segments<kDim>, kBytes);
  LH_CUDA(status);
  const dim3 grid(args.n_units, args.kv.n_kv_heads, args.pass.n_steps);
  launch_kernel(stream, attend_segments<kDim>, {grid, kWarp, kBytes}, args);
}

}  // namespace

void launch_segments(cudaStream_t stream, const AttendArgs& args) {
  for_dim(args.kv.dim, [&](auto dim) { launch<dim()>(stream, args); });
}

}  // namespace longhaul::cuda
