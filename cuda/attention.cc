#include "cuda/attention.h"

#include <algorithm>

namespace longhaul::cuda {
namespace {

constexpr uint32_t kLeastWalks = 96;  // blocks of threads with which a walk keeps the card busy

uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// Steps of the passes of a shape may be short; those of some must be.
bool all_short(const Pass& pass, uint32_t n_group) {
  return pass.n_rows == pass.n_steps || pass.n_rows * n_group <= kTileQueries;
}
bool any_short(const Pass& pass, uint32_t n_group) {
  return pass.n_steps > 1 || pass.n_rows * n_group <= kTileQueries;
}

// Queries of a short step that need states.
uint32_t short_slots(const Pass& pass, uint32_t n_group) {
  return pass.n_rows == pass.n_steps ? n_group : kTileQueries;
}

// Units of the text that the rows of a step can see.
uint32_t n_units(const Pass& pass, uint32_t window, uint32_t unit_tokens) {
  const uint32_t n_units = divide_up(pass.max_context, unit_tokens);
  if (window == 0) return n_units;
  const uint32_t n_tokens = window + pass.n_rows;
  return std::min(n_units, divide_up(n_tokens, unit_tokens) + 1);
}

// The most blocks of queries that the longer steps of a pass can have.
uint32_t query_blocks(const Pass& pass, uint32_t n_group) {
  if (pass.n_steps == 1) return divide_up(pass.n_rows * n_group, kChunkQueries);
  return pass.n_rows * n_group / kChunkQueries + pass.n_steps;
}

void check(const Pass& pass, const KvLayer& kv) {
  LH_CHECK(pass.n_steps > 0 && pass.n_rows >= pass.n_steps && pass.max_context > 0);
  // Blocks are chosen, and bounded, in whole tiles; a window has neither.
  LH_CHECK(kv.page_tokens() % kTile == 0 && (kv.bounds == nullptr || kv.block_size % kTile == 0));
}

}  // namespace

Result<AttendWorkspace> AttendWorkspace::create(const AttentionLimits& limits) {
  const size_t n_segments = divide_up(limits.max_context, kSegmentTokens);
  const size_t n_slots =
      limits.max_rows > limits.max_steps ? kTileQueries : std::min(limits.n_group, kTileQueries);
  const size_t n_short = n_segments * limits.max_steps * limits.n_kv_heads * n_slots;
  Pass most;
  most.n_steps = limits.max_steps;
  most.n_rows = limits.max_rows;
  const size_t n_walks = size_t{query_blocks(most, limits.n_group)} + 1;
  const size_t n_walking = n_walks * limits.n_kv_heads * kChunkQueries;
  const size_t n_spans = divide_up(limits.max_context, kSpanTokens);
  const size_t n_split =
      std::min(limits.max_split_bytes / (limits.dim * sizeof(float)), n_spans * n_walking);
  // The states of short and of longer steps of a pass do not overlap in time.
  const size_t n_states = std::max({n_short, n_walking, n_split});
  AttendWorkspace workspace;
  LH_ASSIGN_OR_RETURN(workspace.ml_, DeviceBuffer<float2>::create(n_states));
  LH_ASSIGN_OR_RETURN(workspace.o_, DeviceBuffer<float>::create(n_states * limits.dim));
  return workspace;
}

Result<SelectWorkspace> SelectWorkspace::create(const AttentionLimits& limits) {
  SelectWorkspace workspace;
  workspace.stride_ = divide_up(divide_up(limits.max_context, limits.block_size), 4) * 4;
  const size_t n = size_t{limits.max_steps} * limits.n_kv_heads * workspace.stride_;
  LH_ASSIGN_OR_RETURN(workspace.scores_, DeviceBuffer<float>::create(n));
  LH_ASSIGN_OR_RETURN(workspace.ids_, DeviceBuffer<uint32_t>::create(n));
  return workspace;
}

size_t page_tile_bytes(uint32_t dim, uint32_t block_size) {
  return size_t{block_size} * 2 * tile_bytes(dim);  // 16 blocks of block_size / 16 tiles
}
size_t page_bounds_bytes(uint32_t dim) { return bounds_bytes(dim); }

void store(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const float* k,
           size_t k_stride, const float* v, size_t v_stride) {
  check(pass, kv);
  launch_store(stream, {pass, kv, k, k_stride, v, v_stride});
}

void select(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const float* q,
            size_t q_stride, uint32_t n_group, const SelectWorkspace& workspace) {
  check(pass, kv);
  LH_CHECK(kv.bounds != nullptr && kv.window == 0);
  const SelectArgs args = {pass, kv, workspace.lists(), q, q_stride, n_group};
  LH_CHECK(divide_up(pass.max_context, kv.block_size) <= args.lists.stride);
  launch_scores(stream, args);
  launch_top_k(stream, args);
}

void attend(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const AttendRows& rows,
            const AttendWorkspace& workspace, const SelectWorkspace* chosen) {
  check(pass, kv);
  LH_CHECK(rows.n_group >= 1 && rows.n_group <= kTileQueries);
  AttendArgs args;
  args.pass = pass;
  args.kv = kv;
  if (chosen != nullptr) args.lists = chosen->lists();
  args.q = rows.q;
  args.q_stride = rows.q_stride;
  args.n_group = rows.n_group;
  args.scale = rows.scale;
  args.out = rows.out;
  args.out_stride = rows.out_stride;
  args.states = workspace.states();
  if (any_short(pass, rows.n_group)) {
    args.n_units = n_units(pass, kv.window, kSegmentTokens);
    args.n_slots = short_slots(pass, rows.n_group);
    LH_CHECK(size_t{args.n_units} * pass.n_steps * kv.n_kv_heads * args.n_slots <=
             workspace.n_states());
    launch_segments(stream, args);
    launch_merge_short(stream, args);
  }
  if (all_short(pass, rows.n_group)) return;
  const uint32_t n_blocks = query_blocks(pass, rows.n_group);
  const size_t n_walking = size_t{n_blocks} * kv.n_kv_heads * kChunkQueries;
  const uint32_t n_spans = n_units(pass, kv.window, kSpanTokens);
  const bool is_split =
      n_blocks * kv.n_kv_heads < kLeastWalks && n_walking * n_spans <= workspace.n_states();
  args.n_units = is_split ? n_spans : 1;
  LH_CHECK(n_walking * args.n_units <= workspace.n_states());
  launch_chunks(stream, args, n_blocks);
  if (args.n_units > 1) launch_merge_chunks(stream, args, n_blocks);
}

}  // namespace longhaul::cuda
