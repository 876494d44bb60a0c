// The tasks of attend(). With few blocks of rows every (block, segment) is a task and the last task
// of a block merges its segments; with many blocks a task walks all segments of its block. Both
// merge in ascending order from the empty state, so they give the same bits. Each thread has a
// contiguous share of the tasks, so that while it works on the last tiles of one it can fetch the
// first of the next: the parts of a short list are short.
#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernels/attention_int8.h"
#include "kernels/attention_plan.h"
#include "parallel/shares.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

using namespace attention;

constexpr size_t kBlocksPerThread = 4;

void reserve(AlignedBuffer<float>& buffer, size_t size) {
  if (size > buffer.size()) buffer.ensure(std::bit_ceil(size));
}

}  // namespace

struct AttentionWorkspace::Impl {
  const Int8Kernels* int8 = nullptr;  // null: f32
  std::vector<Scratch> workers;
  Plan plan;
  std::vector<uint32_t> n_left;  // per block, ranges that are not done
  AlignedBuffer<float> m, l, o;  // states of all ranges in the split form
};

AttentionWorkspace::AttentionWorkspace(bool use_int8) : impl_(std::make_unique<Impl>()) {
  if (use_int8) impl_->int8 = best_int8_kernels();
}
AttentionWorkspace::~AttentionWorkspace() = default;
AttentionWorkspace::AttentionWorkspace(AttentionWorkspace&&) noexcept = default;
AttentionWorkspace& AttentionWorkspace::operator=(AttentionWorkspace&&) noexcept = default;

AttentionWorkspace attention::workspace_with(const Int8Kernels* kernels) {
  AttentionWorkspace workspace(false);
  workspace.impl().int8 = kernels;
  return workspace;
}

namespace {

using Work = AttentionWorkspace::Impl;

States reserve_states(AlignedBuffer<float>& m, AlignedBuffer<float>& l, AlignedBuffer<float>& o,
                      size_t n_queries, size_t value_dim) {
  reserve(m, n_queries);
  reserve(l, n_queries);
  reserve(o, n_queries * value_dim);
  return {m.data(), l.data(), o.data()};
}

// Gathers the rows of a block, times the scale and log2(e).
void prepare_queries(const RowBlock& block, const Int8Kernels* int8, Queries& queries) {
  const AttentionJob& job = *block.job;
  const size_t row_size = job.n_group * job.kv.key_dim;
  const float factor = job.scale * kLog2E;
  queries.f32.ensure(block.n_rows * row_size);
  for (size_t r = 0; r < block.n_rows; ++r) {
    const float* from = job.q + (block.first_row + r) * job.q_stride;
    float* to = queries.f32.data() + r * row_size;
    for (size_t i = 0; i < row_size; ++i) to[i] = from[i] * factor;
  }
  if (int8 != nullptr) int8->round_queries(block.n_queries(), job.kv.key_dim, queries);
}

// Makes the worker ready for the rows of a block: prepared queries and room for tiles.
SegmentTask task_of(const RowBlock& block, const Int8Kernels* int8, Scratch& scratch) {
  const AttentionJob& job = *block.job;
  const bool int8_keys = int8 != nullptr && job.kv.k_type == KvType::kQ8_0;
  const bool int8_values = int8 != nullptr && job.kv.v_type == KvType::kQ8_0;
  if (scratch.block != &block) prepare_queries(block, int8_keys ? int8 : nullptr, scratch.queries);
  scratch.block = &block;
  scratch.k.ensure(kMaxHeadDim * kGroupTokens);
  scratch.v.ensure(kMaxHeadDim * kGroupTokens);
  scratch.scores.ensure(kMaxQueryBlock * kGroupTokens);
  scratch.p.ensure(kMaxHeadDim / kScaleDims * kMaxQueryBlock * kPBytes);
  scratch.value_scales.ensure(kMaxQueryBlock + 1);
  return {.tiles = {},
          .following = nullptr,
          .n_rows = block.n_rows,
          .n_group = job.n_group,
          .first_pos = block.first_pos(),
          .window = job.window,
          .int8_keys = int8_keys,
          .int8_values = int8_values,
          .int8 = int8,
          .scratch = &scratch,
          .states = {}};
}

// Whether what follows can be fetched as a tile of this range would be.
bool same_shape(const KvView& a, const KvView& b) {
  return a.k_type == b.k_type && a.v_type == b.v_type && a.key_dim == b.key_dim &&
         a.value_dim == b.value_dim;
}

// Threads take ranges in ascending order, so that the next one is likely their own.
void run_range(const Plan& plan, size_t i, SegmentTask& task, const States& states) {
  task.tiles = plan.ranges[i].tiles;
  const TileRange* after = i + 1 < plan.ranges.size() ? &plan.ranges[i + 1].tiles : nullptr;
  task.following = after != nullptr && same_shape(*after->kv, *task.tiles.kv) ? after : nullptr;
  task.states = states;
  attend_segment(task);
}

void write_out(const RowBlock& block, const States& total) {
  const AttentionJob& job = *block.job;
  const size_t dim = job.kv.value_dim;
  for (size_t i = 0; i < block.n_queries(); ++i) {
    float* out =
        job.out + (block.first_row + i / job.n_group) * job.out_stride + i % job.n_group * dim;
    const float inverse = total.l[i] == 0.0F ? 0.0F : 1.0F / total.l[i];
    for (size_t d = 0; d < dim; ++d) out[d] = total.o[i * dim + d] * inverse;
  }
}

States empty_total(const RowBlock& block, Scratch& scratch) {
  const size_t value_dim = block.job->kv.value_dim;
  const States total = reserve_states(scratch.total_m, scratch.total_l, scratch.total_o,
                                      block.n_queries(), value_dim);
  set_empty(total, block.n_queries(), value_dim);
  return total;
}

// One task for all segments of a block.
void walk_block(const Work& work, const RowBlock& block, Scratch& scratch) {
  const size_t value_dim = block.job->kv.value_dim;
  const size_t n_queries = block.n_queries();
  SegmentTask task = task_of(block, work.int8, scratch);
  const States segment = reserve_states(scratch.m, scratch.l, scratch.o, n_queries, value_dim);
  const States total = empty_total(block, scratch);
  for (size_t i = 0; i < block.n_ranges; ++i) {
    run_range(work.plan, block.first_range + i, task, segment);
    merge_states(total, segment, n_queries, value_dim);
  }
  write_out(block, total);
}

// The states of range i of a block in the split form. Blocks of different value_dim share the
// buffer by the largest.
States split_states(Work& work, const RowBlock& block, size_t i) {
  const size_t at = block.first_state + i * block.n_queries();
  return {work.m.data() + at, work.l.data() + at, work.o.data() + at * kMaxHeadDim};
}

// One task for one segment of a block; the block's last one merges.
void run_split(Work& work, size_t range_index, Scratch& scratch) {
  const Range& range = work.plan.ranges[range_index];
  const RowBlock& block = work.plan.blocks[range.block];
  SegmentTask task = task_of(block, work.int8, scratch);
  run_range(work.plan, range_index, task,
            split_states(work, block, range_index - block.first_range));
  std::atomic_ref<uint32_t> n_left(work.n_left[range.block]);
  if (n_left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const States total = empty_total(block, scratch);
  for (size_t i = 0; i < block.n_ranges; ++i) {
    merge_states(total, split_states(work, block, i), block.n_queries(), block.job->kv.value_dim);
  }
  write_out(block, total);
}

void run_in_shares(ThreadPool& pool, size_t n, FunctionRef<void(size_t task, size_t worker)> run) {
  Shares shares(n, std::min(pool.n_threads(), Shares::kMax));
  pool.run(shares.size(), [&](size_t share, size_t worker) {
    shares.work(share, [&](size_t task) { run(task, worker); });
  });
}

}  // namespace

void attend(ThreadPool& pool, std::span<const AttentionJob> jobs, AttentionWorkspace& workspace) {
  Work& work = workspace.impl();
  if (work.workers.size() < pool.n_threads()) work.workers.resize(pool.n_threads());
  work.plan.make(jobs);
  const std::vector<RowBlock>& blocks = work.plan.blocks;
  for (Scratch& scratch : work.workers) scratch.block = nullptr;
  if (blocks.size() >= kBlocksPerThread * pool.n_threads()) {
    run_in_shares(pool, blocks.size(), [&](size_t i, size_t worker) {
      walk_block(work, blocks[i], work.workers[worker]);
    });
    return;
  }
  work.n_left.clear();
  for (const RowBlock& block : blocks) {
    work.n_left.push_back(static_cast<uint32_t>(block.n_ranges));
    if (block.n_ranges == 0) write_out(block, empty_total(block, work.workers[0]));
  }
  reserve_states(work.m, work.l, work.o, work.plan.n_states, kMaxHeadDim);
  run_in_shares(pool, work.plan.ranges.size(),
                [&](size_t i, size_t worker) { run_split(work, i, work.workers[worker]); });
}

namespace {

// Adds the probabilities of one head's scores to its blocks. scores[j * 16 + slot] belongs to token
// slot of tile j of the range.
void add_masses(const TileRange& tiles, std::span<const float> scores, size_t block_size,
                std::span<double> masses) {
  const float max = *std::max_element(scores.begin(), scores.end());
  if (max == -std::numeric_limits<float>::infinity()) return;
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double p = std::exp2(double{scores[i]} - max);
    const size_t j = i / kTileTokens;
    const size_t tile = tiles.list == nullptr ? tiles.first_tile + j : tiles.list[j].tile;
    const size_t block = (tile * kTileTokens + i % kTileTokens) / block_size;
    if (block < masses.size()) masses[block] += p;
    sum += p;
  }
  for (double& mass : masses) mass /= sum;
}

}  // namespace

void block_masses(const AttentionJob& job, size_t block_size, size_t n_blocks, float* masses,
                  AttentionWorkspace& workspace) {
  check_job(job);
  LH_CHECK(block_size > 0);
  std::fill_n(masses, n_blocks, 0.0F);
  const TileRange tiles = tiles_of_first_row(job);
  const size_t n_tiles = tiles.n_tiles;
  if (n_tiles == 0 || n_blocks == 0) return;
  Work& work = workspace.impl();
  if (work.workers.empty()) work.workers.resize(1);
  const RowBlock block{&job, 0, 1, 0, 1, 0};
  work.workers[0].block = nullptr;
  SegmentTask task = task_of(block, nullptr, work.workers[0]);
  task.tiles = tiles;
  const size_t stride = (n_tiles + kGroupTiles - 1) / kGroupTiles * kGroupTokens;
  AlignedBuffer<float> scores(job.n_group * stride);
  segment_scores(task, scores.data(), stride);
  std::vector<double> head_masses(n_blocks);
  for (size_t head = 0; head < job.n_group; ++head) {
    std::fill(head_masses.begin(), head_masses.end(), 0.0);
    add_masses(tiles, scores.span().subspan(head * stride, n_tiles * kTileTokens), block_size,
               head_masses);
    for (size_t b = 0; b < n_blocks; ++b) {
      masses[b] = std::max(masses[b], static_cast<float>(head_masses[b]));
    }
  }
}

}  // namespace longhaul
