// What the table does once for a pass: its rows on the device, room for its attention, its graph.
#include <algorithm>
#include <new>

#include "base/rounding.h"
#include "cuda/table.h"
#include "model/step.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kMostCapturedRows = 64;  // longer passes do not wait for launches
constexpr size_t kMostGraphs = 64;

// Positions that the rows of a step attend to, on average over the layers.
double n_attended(const Step& step, const ModelPlan& plan) {
  double sum = 0;
  size_t n_layers = 0;
  const auto n = static_cast<double>(step.tokens.size());
  const auto first = static_cast<double>(step.first_pos);
  for (const LayerSpec& layer : plan.layers) {
    const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
    if (spec == nullptr) continue;
    ++n_layers;
    const double all = first + (n + 1) / 2;
    const double seen = spec->window > 0 ? std::min(all, static_cast<double>(spec->window)) : all;
    const double share = step.stats.blocks_total == 0 || spec->window > 0
                             ? 1
                             : static_cast<double>(step.stats.blocks_read) /
                                   static_cast<double>(step.stats.blocks_total);
    sum += n * seen * share;
  }
  return sum / static_cast<double>(std::max<size_t>(n_layers, 1));
}

}  // namespace

// Blocks that each step reads: known before it runs.
void CudaBackend::count(::longhaul::Pass& pass) const {
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    Step& step = *pass.steps[s];
    const size_t block_size = step.state->block_size();
    const size_t n_blocks = ceil_div(step.first_pos + step.tokens.size(), block_size);
    const size_t n_read =
        step.selector == nullptr
            ? n_blocks
            : n_selected_blocks(*step.attention, *step.selector, n_blocks, block_size);
    for (const LayerSpec& layer : pass.plan.layers) {
      const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
      if (spec == nullptr || spec->window > 0) continue;
      const bool runs = layer.rows == RowSet::kAll || pass.kept()[s].n > 0;
      if (!runs) continue;
      const bool one = step.tokens.size() == 1;
      (one ? step.stats.blocks_read : step.stats.rectified_blocks_read) +=
          n_read * spec->n_kv_heads;
      (one ? step.stats.blocks_total : step.stats.rectified_blocks_total) +=
          n_blocks * spec->n_kv_heads;
    }
    if (pass.times != nullptr) pass.times->n_attended += n_attended(step, pass.plan);
  }
}

void CudaBackend::begin(::longhaul::Pass& pass) {
  is_narrowed_ = false;
  if (!pass_table_) pass_table_.emplace(pass.max_rows, pass.plan.slots.size());
  if (pass_table_->upload(pass, stream_)) drop_graphs();
  make_room(pass);
  count(pass);
}

// The workspaces of attention grow with the longest text and the most steps.
void CudaBackend::make_room(const ::longhaul::Pass& pass) {
  AttentionLimits limits = limits_;
  limits.max_context = std::max(limits.max_context, pass_table_->max_context());
  limits.max_steps = std::max(limits.max_steps, static_cast<uint32_t>(pass.steps.size()));
  limits.max_rows = static_cast<uint32_t>(pass.max_rows);
  if (limits.max_context == limits_.max_context && limits.max_steps == limits_.max_steps) return;
  for (const LayerSpec& layer : pass.plan.layers) {
    const auto& spec = std::get<AttentionSpec>(layer.mixer);  // check() refuses others
    limits.n_kv_heads = std::max(limits.n_kv_heads, static_cast<uint32_t>(spec.n_kv_heads));
    limits.n_group = std::max(limits.n_group, static_cast<uint32_t>(spec.n_group()));
    limits.dim = std::max(limits.dim, static_cast<uint32_t>(spec.key_dim));
  }
  limits.block_size = static_cast<uint32_t>(pass.steps.front()->state->block_size());
  stream_.wait();
  drop_graphs();
  attend_workspace_.reset();
  select_workspace_.reset();
  auto attend = AttendWorkspace::create(limits);
  auto select = SelectWorkspace::create(limits);
  if (!attend || !select) throw std::bad_alloc();
  attend_workspace_ = std::move(*attend);
  select_workspace_ = std::move(*select);
  limits_ = limits;
}

// What shapes the launches of a pass.
CudaBackend::Key CudaBackend::key_of(const ::longhaul::Pass& pass) const {
  Key key = {pass_table_->max_context(), pass_table_->any_sparse() ? 1U : 0U};
  for (const Step* step : pass.steps) {
    key.push_back(static_cast<uint32_t>(step->tokens.size()));
    key.push_back(static_cast<uint32_t>(step->n_logits));
  }
  return key;
}

void CudaBackend::run(::longhaul::Pass& pass, FunctionRef<void()> operations) {
  const auto all = [&] {
    operations();
    settle();
  };
  const bool captures =
      pass.times == nullptr && pass.n_rows <= kMostCapturedRows && !pass.can_narrow();
  if (captures) {
    if (graphs_.size() > kMostGraphs) {
      drop_graphs();
      graphs_.clear();
    }
    run_captured(graphs_[key_of(pass)], all);
  } else {
    all();
  }
  for (const Step* step : pass.steps) {
    for (const LayerSpec& layer : pass.plan.layers) {
      const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
      if (spec == nullptr || !spec->writes) continue;
      step->state->paged(spec->kv.slot)
          .stored(spec->kv.layer, step->first_pos, step->first_pos + step->tokens.size());
    }
  }
}

// The first pass of a shape runs as it is: it makes what room it needs. The second is captured.
void CudaBackend::run_captured(Graph& graph, FunctionRef<void()> operations) {
  if (graph.exec != nullptr) {
    LH_CUDA(cudaGraphLaunch(graph.exec, stream_));
    return;
  }
  if (!graph.seen) {
    operations();
    graph.seen = true;  // unless the room it made dropped all graphs, this one too
    return;
  }
  cudaGraph_t captured = nullptr;
  LH_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  operations();
  LH_CUDA(cudaStreamEndCapture(stream_, &captured));
  LH_CUDA(cudaGraphInstantiate(&graph.exec, captured, 0));
  LH_CUDA(cudaGraphDestroy(captured));
  LH_CUDA(cudaGraphLaunch(graph.exec, stream_));
}

void CudaBackend::drop_graphs() {
  for (auto& [key, graph] : graphs_) {
    if (graph.exec != nullptr) (void)cudaGraphExecDestroy(graph.exec);
    graph = {};
  }
}

}  // namespace longhaul::cuda
