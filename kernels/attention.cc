// The tasks of attend(). With few blocks of rows every (block, segment) is a task and the last task
// of a block merges its segments; with many blocks a task walks all segments of its block. Both
// merge in ascending order from the empty state, so they give the same bits. Each thread has a
// contiguous share of the tasks, so that while it works on the last tiles of one it can fetch the
// first of the next: the parts of a short list are short.
#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/attention_work.h"
#include "parallel/shares.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

using namespace attention;

using Work = AttentionWorkspace::Impl;

constexpr size_t kBlocksPerThread = 4;

// Whether what follows can be fetched as a tile of this range would be.
bool same_shape(const KvView& a, const KvView& b) {
  return a.k_type == b.k_type && a.v_type == b.v_type && a.key_dim == b.key_dim &&
         a.value_dim == b.value_dim;
}

// Threads take ranges in ascending order, so that the next one is likely their own.
void run_range(const Plan& plan, size_t i, SegmentTask& task, const AttentionStates& states) {
  task.tiles = plan.ranges[i].tiles;
  const TileRange* after = i + 1 < plan.ranges.size() ? &plan.ranges[i + 1].tiles : nullptr;
  task.following = after != nullptr && same_shape(*after->kv, *task.tiles.kv) ? after : nullptr;
  task.states = states;
  attend_segment(task);
}

void write_out(const RowBlock& block, const AttentionStates& total) {
  const AttentionJob& job = *block.job;
  finish(total, job.n_group, job.out + block.first_row * job.out_stride, job.out_stride);
}

AttentionStates empty_total(const RowBlock& block, Scratch& scratch) {
  const AttentionStates total = scratch.total.make(block.n_queries(), block.job->kv.value_dim);
  set_empty(total);
  return total;
}

// One task for all segments of a block.
void walk_block(const Work& work, const RowBlock& block, Scratch& scratch) {
  SegmentTask task = task_of(block, work.int8, scratch);
  const AttentionStates segment = scratch.segment.make(block.n_queries(), block.job->kv.value_dim);
  const AttentionStates total = empty_total(block, scratch);
  for (size_t i = 0; i < block.n_ranges; ++i) {
    run_range(work.plan, block.first_range + i, task, segment);
    merge(total, segment);
  }
  write_out(block, total);
}

// The states of a block's rows in a segment of its job.
AttentionStates states_of(const SegmentStates& states, const RowBlock& block, size_t segment) {
  return states.segment(block.job_index, segment).queries(block.first_query(), block.n_queries());
}

// One task for one segment of a block.
void run_alone(const Work& work, const SegmentStates& states, size_t i, Scratch& scratch) {
  const Range& range = work.plan.ranges[i];
  const RowBlock& block = work.plan.blocks[range.block];
  SegmentTask task = task_of(block, work.int8, scratch);
  run_range(work.plan, i, task, states_of(states, block, range.segment));
}

// The same, and the block's last one merges.
void run_split(Work& work, size_t i, Scratch& scratch) {
  run_alone(work, work.states, i, scratch);
  const size_t block_index = work.plan.ranges[i].block;
  const RowBlock& block = work.plan.blocks[block_index];
  std::atomic_ref<uint32_t> n_left(work.n_left[block_index]);
  if (n_left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const AttentionStates total = empty_total(block, scratch);
  for (size_t r = block.first_range; r < block.first_range + block.n_ranges; ++r) {
    merge(total, states_of(work.states, block, work.plan.ranges[r].segment));
  }
  write_out(block, total);
}

// The segments of its job that a block has no range in.
void empty_the_rest(const Plan& plan, const RowBlock& block, const SegmentStates& states) {
  size_t range = block.first_range;
  for (size_t i = 0; i < states.n_segments(block.job_index); ++i) {
    if (range < block.first_range + block.n_ranges && plan.ranges[range].segment == i) {
      ++range;
    } else {
      set_empty(states_of(states, block, i));
    }
  }
}

void run_in_shares(ThreadPool& pool, size_t n, FunctionRef<void(size_t task, size_t worker)> run) {
  Shares shares(n, pool.n_threads());
  pool.run(shares.size(), [&](size_t share, size_t worker) {
    shares.work(share, [&](size_t task) { run(task, worker); });
  });
}

}  // namespace

void attend(ThreadPool& pool, std::span<const AttentionJob> jobs, AttentionWorkspace& workspace) {
  Work& work = workspace.impl();
  work.start(pool.n_threads());
  work.plan.make(jobs, {});
  const std::vector<RowBlock>& blocks = work.plan.blocks;
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
  work.states.resize(work.plan.shapes);
  run_in_shares(pool, work.plan.ranges.size(),
                [&](size_t i, size_t worker) { run_split(work, i, work.workers[worker]); });
}

void attend_part(ThreadPool& pool, std::span<const AttentionJob> jobs,
                 std::span<const TextPart> parts, AttentionWorkspace& workspace,
                 SegmentStates& states) {
  Work& work = workspace.impl();
  work.start(pool.n_threads());
  work.plan.make(jobs, parts);
  states.resize(work.plan.shapes);
  for (const RowBlock& block : work.plan.blocks) empty_the_rest(work.plan, block, states);
  run_in_shares(pool, work.plan.ranges.size(),
                [&](size_t i, size_t worker) { run_alone(work, states, i, work.workers[worker]); });
}

}  // namespace longhaul
