#include "kernels/attention_work.h"

namespace longhaul {

AttentionWorkspace::AttentionWorkspace(bool use_int8) : impl_(std::make_unique<Impl>()) {
  if (use_int8) impl_->int8 = attention::best_int8_kernels();
}
AttentionWorkspace::~AttentionWorkspace() = default;
AttentionWorkspace::AttentionWorkspace(AttentionWorkspace&&) noexcept = default;
AttentionWorkspace& AttentionWorkspace::operator=(AttentionWorkspace&&) noexcept = default;

void AttentionWorkspace::Impl::start(size_t n_workers) {
  if (workers.size() < n_workers) workers.resize(n_workers);
  for (attention::Scratch& scratch : workers) scratch.block = nullptr;
}

namespace attention {

AttentionWorkspace workspace_with(const Int8Kernels* kernels) {
  AttentionWorkspace workspace(false);
  workspace.impl().int8 = kernels;
  return workspace;
}

namespace {

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

}  // namespace

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
          .window_step = job.window_step,
          .int8_keys = int8_keys,
          .int8_values = int8_values,
          .int8 = int8,
          .scratch = &scratch,
          .states = {}};
}

}  // namespace attention
}  // namespace longhaul
