// The plan of attend(): rows are cut into blocks, the tiles of a block into segments. With few
// blocks every (block, segment) is a task and the last task of a block merges its segments; with
// many blocks a task walks all segments of its block. Both merge in ascending order from the empty
// state, so they give the same bits. Each thread has a contiguous share of the tasks, so that while
// it works on the last tiles of one it can fetch the first of the next: the parts of a short list
// are short.
#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "kernels/attention_int8.h"
#include "kernels/attention_kernel.h"
#include "parallel/shares.h"
#include "parallel/thread_pool.h"

namespace longhaul {
namespace {

using namespace attention;

constexpr size_t kBlockQueries = 96;  // of a row block: their states stay in L2 beside the tiles
constexpr size_t kBlocksPerThread = 4;

// The tiles of one segment, and the block of rows that visits them.
struct Range {
  TileRange tiles;
  size_t block;
};

struct RowBlock {
  const AttentionJob* job;
  size_t first_row;
  size_t n_rows;
  size_t first_range;
  size_t n_ranges;
  size_t first_state;  // of the split form, in queries: range i of the block is at first_state + i
                       // * n_queries()
  size_t n_queries() const { return n_rows * job->n_group; }
  uint32_t first_pos() const { return job->first_pos + static_cast<uint32_t>(first_row); }
};

void reserve(AlignedBuffer<float>& buffer, size_t size) {
  if (size > buffer.size()) buffer.ensure(std::bit_ceil(size));
}

void check(const AttentionJob& job) {
  for (const size_t dim : {job.kv.key_dim, job.kv.value_dim}) {
    LH_CHECK(dim % kScaleDims == 0 && dim > 0 && dim <= kMaxHeadDim);
  }
  LH_CHECK(std::has_single_bit(job.kv.tiles_per_page));
}

}  // namespace

struct AttentionWorkspace::Impl {
  const Int8Kernels* int8 = nullptr;  // null: f32
  std::vector<Scratch> workers;
  std::vector<RowBlock> blocks;
  std::vector<Range> ranges;
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

using Plan = AttentionWorkspace::Impl;

// Appends the ranges of a block, one per segment that has tiles up to the block's last position.
void add_ranges(const RowBlock& block, size_t index, std::vector<Range>& ranges) {
  const AttentionJob& job = *block.job;
  size_t n_tiles = (block.first_pos() + block.n_rows - 1) / kTileTokens + 1;
  const TileRef* list = job.all_tiles ? nullptr : job.tiles.data();
  if (list != nullptr) {
    n_tiles = static_cast<size_t>(
        std::partition_point(list, list + job.tiles.size(),
                             [=](const TileRef& ref) { return ref.tile < n_tiles; }) -
        list);
  }
  for (size_t first = 0; first < n_tiles; first += kSegmentTiles) {
    const size_t n = std::min(kSegmentTiles, n_tiles - first);
    ranges.push_back(
        {{&job.kv, list == nullptr ? nullptr : list + first, static_cast<uint32_t>(first), n},
         index});
  }
}

// As many as make up to kBlockQueries queries, that the kernels find full blocks of queries in.
size_t rows_per_block(size_t n_group) {
  const size_t most = std::max<size_t>(1, kBlockQueries / n_group);
  const size_t even = kMaxQueryBlock / std::gcd(kMaxQueryBlock, n_group);
  return most < even ? most : most / even * even;
}

void make_plan(std::span<const AttentionJob> jobs, Plan& plan) {
  plan.blocks.clear();
  plan.ranges.clear();
  size_t n_states = 0;
  for (const AttentionJob& job : jobs) {
    check(job);
    if (job.n_rows == 0 || job.n_group == 0) continue;
    const size_t step = rows_per_block(job.n_group);
    for (size_t row = 0; row < job.n_rows; row += step) {
      RowBlock block{&job, row, std::min(step, job.n_rows - row), plan.ranges.size(), 0, n_states};
      add_ranges(block, plan.blocks.size(), plan.ranges);
      block.n_ranges = plan.ranges.size() - block.first_range;
      n_states += block.n_ranges * block.n_queries();
      plan.blocks.push_back(block);
    }
  }
}

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
void walk_block(const Plan& plan, const RowBlock& block, Scratch& scratch) {
  const size_t value_dim = block.job->kv.value_dim;
  const size_t n_queries = block.n_queries();
  SegmentTask task = task_of(block, plan.int8, scratch);
  const States segment = reserve_states(scratch.m, scratch.l, scratch.o, n_queries, value_dim);
  const States total = empty_total(block, scratch);
  for (size_t i = 0; i < block.n_ranges; ++i) {
    run_range(plan, block.first_range + i, task, segment);
    merge_states(total, segment, n_queries, value_dim);
  }
  write_out(block, total);
}

// The states of range i of a block in the split form. Blocks of different value_dim share the
// buffer by the largest.
States split_states(Plan& plan, const RowBlock& block, size_t i) {
  const size_t at = block.first_state + i * block.n_queries();
  return {plan.m.data() + at, plan.l.data() + at, plan.o.data() + at * kMaxHeadDim};
}

// One task for one segment of a block; the block's last one merges.
void run_split(Plan& plan, size_t range_index, Scratch& scratch) {
  const Range& range = plan.ranges[range_index];
  const RowBlock& block = plan.blocks[range.block];
  SegmentTask task = task_of(block, plan.int8, scratch);
  run_range(plan, range_index, task, split_states(plan, block, range_index - block.first_range));
  std::atomic_ref<uint32_t> n_left(plan.n_left[range.block]);
  if (n_left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const States total = empty_total(block, scratch);
  for (size_t i = 0; i < block.n_ranges; ++i) {
    merge_states(total, split_states(plan, block, i), block.n_queries(), block.job->kv.value_dim);
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
  Plan& plan = workspace.impl();
  if (plan.workers.size() < pool.n_threads()) plan.workers.resize(pool.n_threads());
  make_plan(jobs, plan);
  for (Scratch& scratch : plan.workers) scratch.block = nullptr;
  if (plan.blocks.size() >= kBlocksPerThread * pool.n_threads()) {
    run_in_shares(pool, plan.blocks.size(), [&](size_t i, size_t worker) {
      walk_block(plan, plan.blocks[i], plan.workers[worker]);
    });
    return;
  }
  plan.n_left.clear();
  size_t n_states = 0;
  for (const RowBlock& block : plan.blocks) {
    plan.n_left.push_back(static_cast<uint32_t>(block.n_ranges));
    n_states += block.n_ranges * block.n_queries();
    if (block.n_ranges == 0) write_out(block, empty_total(block, plan.workers[0]));
  }
  reserve_states(plan.m, plan.l, plan.o, n_states, kMaxHeadDim);
  run_in_shares(pool, plan.ranges.size(),
                [&](size_t i, size_t worker) { run_split(plan, i, plan.workers[worker]); });
}

namespace {

// Adds the probabilities of one head's scores to its blocks. scores[j * 16 + slot] belongs to token
// slot of tile j.
void add_masses(const AttentionJob& job, std::span<const float> scores, size_t block_size,
                std::span<double> masses) {
  const float max = *std::max_element(scores.begin(), scores.end());
  if (max == -std::numeric_limits<float>::infinity()) return;
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double p = std::exp2(double{scores[i]} - max);
    const size_t tile = job.all_tiles ? i / kTileTokens : job.tiles[i / kTileTokens].tile;
    const size_t block = (tile * kTileTokens + i % kTileTokens) / block_size;
    if (block < masses.size()) masses[block] += p;
    sum += p;
  }
  for (double& mass : masses) mass /= sum;
}

}  // namespace

void block_masses(const AttentionJob& job, size_t block_size, size_t n_blocks, float* masses,
                  AttentionWorkspace& workspace) {
  check(job);
  LH_CHECK(block_size > 0);
  std::fill_n(masses, n_blocks, 0.0F);
  const size_t n_tiles = job.all_tiles ? job.first_pos / kTileTokens + 1 : job.tiles.size();
  if (n_tiles == 0 || n_blocks == 0) return;
  Plan& plan = workspace.impl();
  if (plan.workers.empty()) plan.workers.resize(1);
  const RowBlock block{&job, 0, 1, 0, 1, 0};
  plan.workers[0].block = nullptr;
  SegmentTask task = task_of(block, nullptr, plan.workers[0]);
  task.tiles = {&job.kv, job.all_tiles ? nullptr : job.tiles.data(), 0, n_tiles};
  const size_t stride = (n_tiles + kGroupTiles - 1) / kGroupTiles * kGroupTokens;
  AlignedBuffer<float> scores(job.n_group * stride);
  segment_scores(task, scores.data(), stride);
  std::vector<double> head_masses(n_blocks);
  for (size_t head = 0; head < job.n_group; ++head) {
    std::fill(head_masses.begin(), head_masses.end(), 0.0);
    add_masses(job, scores.span().subspan(head * stride, n_tiles * kTileTokens), block_size,
               head_masses);
    for (size_t b = 0; b < n_blocks; ++b) {
      masses[b] = std::max(masses[b], static_cast<float>(head_masses[b]));
    }
  }
}

}  // namespace longhaul
