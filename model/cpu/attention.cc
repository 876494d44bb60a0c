#include "model/cpu/attention.h"

#include <algorithm>

#include "base/check.h"
#include "model/cpu/backend.h"
#include "model/pass.h"

namespace longhaul {
namespace {

// Positions that rows of a job attend to, together.
double positions_attended(const AttentionJob& job, size_t window) {
  const auto n_rows = static_cast<double>(job.n_rows);
  if (!job.all_tiles) return n_rows * static_cast<double>(job.tiles.size() * kTileTokens);
  const auto first = static_cast<double>(job.first_pos);
  if (window == 0) return n_rows * (first + (n_rows + 1) / 2);
  double sum = 0;
  for (size_t r = 0; r < job.n_rows; ++r) {
    const auto pos = static_cast<uint32_t>(job.first_pos + r);
    sum += static_cast<double>(pos + 1 - first_seen(pos, window, job.window_step));
  }
  return sum;
}

const KvSequence& cache_of(const AttentionSpec& spec, const Step& step) {
  return step.state->paged(spec.kv.slot);
}

}  // namespace

// What selectors need of the positions they will look at, once for all layers.
void CpuAttention::begin(Pass& pass) {
  if (!pass.steps.front()->state->is_paged(0)) return;
  const std::vector<SummarySpec>& specs = pass.steps.front()->state->paged(0).config().summaries;
  selector_rows_.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const Summary& summary = *specs[i].summary;
    SelectorRows& rows = selector_rows_[i];
    rows.n_floats = summary.n_row_floats();
    if (rows.n_floats == 0) continue;
    for (size_t s = 0; s < pass.steps.size(); ++s) {
      const Step& step = *pass.steps[s];
      const bool is_asked = step.observer != nullptr ||
                            (step.selector != nullptr && step.selector->summary == specs[i].name);
      if (!is_asked) continue;
      rows.floats.ensure(pass.max_rows * rows.n_floats);
      for (size_t r = 0; r < pass.rows[s].n; ++r) {
        summary.prepare_row(step.first_pos + r,
                            rows.floats.data() + (pass.rows[s].first + r) * rows.n_floats);
      }
    }
  }
}

void CpuAttention::for_each_row_buffer(FunctionRef<void(float*, size_t)> visit) {
  for (SelectorRows& rows : selector_rows_) {
    if (rows.floats.size() > 0) visit(rows.floats.data(), rows.n_floats);
  }
}

void CpuAttention::store(const Pass& pass, const AttentionSpec& spec, MatrixView<const float> k,
                         MatrixView<const float> v) {
  const size_t n_kv_heads = spec.n_kv_heads;
  const size_t n_tasks = pass.steps.size() * n_kv_heads;
  const size_t serial = pass.n_rows <= kSerialRows ? n_tasks : 0;
  for_each(pool_, n_tasks, serial, [&](size_t task, size_t) {
    const StepRows& rows = pass.rows[task / n_kv_heads];
    const size_t head = task % n_kv_heads;
    KvSequence& kv = pass.steps[task / n_kv_heads]->state->paged(spec.kv.slot);
    kv.write(spec.kv.layer, head, rows.first_pos, rows.n,
             k.data + rows.first * k.stride + head * spec.key_dim, k.stride,
             v.data + rows.first * v.stride + head * spec.value_dim, v.stride);
  });
}

void CpuAttention::attend(Pass& pass, const AttentionSpec& spec, MatrixView<const float> q,
                          MatrixView<float> out) {
  const Layer layer{pass, spec};
  make_jobs(layer, q, out);
  pass.lap(&PassTimes::rest_s);
  if (spec.window == 0) {
    choose(layer);
    count_blocks(layer);
  }
  pass.lap(&PassTimes::selection_s);
  if (spec.xpos_base > 0) {
    attend_decayed(layer, q);
  } else {
    longhaul::attend(pool_, jobs_, workspace_);
  }
  pass.lap(&PassTimes::attention_s);
  if (pass.times != nullptr) count_attended(layer);
}

// One dense job per KV head and step that has rows.
void CpuAttention::make_jobs(const Layer& layer, MatrixView<const float> q, MatrixView<float> out) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  jobs_.clear();
  job_steps_.clear();
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    const StepRows& rows = pass.rows[s];
    if (rows.n == 0) continue;
    const KvSequence& kv = cache_of(layer.spec, *pass.steps[s]);
    for (size_t head = 0; head < spec.n_kv_heads; ++head) {
      AttentionJob job;
      job.kv = kv.view(spec.kv.layer, head);
      job.q = q.data + rows.first * q.stride + head * spec.n_group() * spec.key_dim;
      job.q_stride = q.stride;
      job.n_rows = rows.n;
      job.n_group = spec.n_group();
      job.first_pos = static_cast<uint32_t>(rows.first_pos);
      job.window = spec.window;
      job.window_step = spec.window_step;
      job.scale = spec.scale;
      job.out = out.data + rows.first * out.stride + head * spec.n_group() * spec.value_dim;
      job.out_stride = out.stride;
      jobs_.push_back(job);
      job_steps_.push_back(s);
    }
  }
}

// What the jobs read: chosen here, or by the layer that chose last, which had the same jobs.
void CpuAttention::choose(const Layer& layer) {
  if (layer.spec.chooses) {
    select(layer);
    choices_.clear();
    for (const AttentionJob& job : jobs_) choices_.push_back({job.all_tiles, job.tiles});
    return;
  }
  LH_CHECK(choices_.size() == jobs_.size());
  for (size_t i = 0; i < jobs_.size(); ++i) {
    jobs_[i].all_tiles = choices_[i].all_tiles;
    jobs_[i].tiles = choices_[i].tiles;
  }
}

// Gives the jobs of sparse steps the tiles that their selectors choose.
void CpuAttention::select(const Layer& layer) {
  const Pass& pass = layer.pass;
  if (n_chosen_.size() < jobs_.size()) n_chosen_.resize(jobs_.size());
  if (selections_.size() < jobs_.size()) selections_.resize(jobs_.size());
  bool any = false;
  bool any_partial = false;
  for (const Step* step : pass.steps) {
    any |= step->selector != nullptr || step->observer != nullptr;
    any_partial |= step->selector != nullptr && step->tokens.size() > 1;
  }
  if (!any) return;
  const KvSequence& kv = cache_of(layer.spec, *pass.steps.front());
  const size_t n_views = jobs_.size() * kv.n_summaries();
  if (summary_views_.size() < n_views) summary_views_.resize(n_views);
  if (any_partial && rectify_selections_.size() < jobs_.size())
    rectify_selections_.resize(jobs_.size());
  for_each(pool_, jobs_.size(), 1, [&](size_t i, size_t worker) {
    const Step& step = *pass.steps[job_steps_[i]];
    if (step.observer != nullptr) {
      (*step.observer)(layer.spec.kv.layer, i % layer.spec.n_kv_heads, worker,
                       selection_input(layer, i), worker_workspaces_[worker]);
    }
    if (step.selector != nullptr) n_chosen_[i] = choose_tiles(layer, i, worker);
  });
}

void CpuAttention::count_blocks(const Layer& layer) {
  for (size_t i = 0; i < jobs_.size(); ++i) {
    Step& step = *layer.pass.steps[job_steps_[i]];
    StepStats& stats = step.stats;
    const bool one = step.tokens.size() == 1;
    const size_t n_tokens = step.first_pos + step.tokens.size();
    const size_t n_blocks = (n_tokens - 1) / step.state->block_size() + 1;
    (one ? stats.blocks_total : stats.rectified_blocks_total) += n_blocks;
    (one ? stats.blocks_read : stats.rectified_blocks_read) +=
        step.selector == nullptr ? n_blocks : n_chosen_[i];
    if (!one || step.selector == nullptr || step.block_counts.empty()) continue;
    for (const uint32_t block : selections_[i].block_ids()) ++step.block_counts[block];
  }
}

// What there is to choose from in one job of a step at the end of its sequence.
SelectionInput CpuAttention::selection_input(const Layer& layer, size_t job_index) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const size_t s = job_steps_[job_index];
  const Step& step = *pass.steps[s];
  const KvSequence& kv = cache_of(layer.spec, step);
  const size_t n_tokens = step.first_pos + step.tokens.size();
  LH_CHECK(n_tokens == kv.n_tokens());
  SelectionInput input;
  input.query = &jobs_[job_index];
  input.block_size = kv.block_size();
  input.n_blocks = (n_tokens + input.block_size - 1) / input.block_size;
  const size_t n_summaries = kv.n_summaries();
  SummaryView* const views = summary_views_.data() + job_index * n_summaries;
  for (size_t i = 0; i < n_summaries; ++i) {
    views[i] = kv.summary(spec.kv.layer, job_index % spec.n_kv_heads, i);
    const SelectorRows& rows = selector_rows_[i];
    if (rows.n_floats > 0 && rows.floats.size() > 0)
      views[i].rows = rows.floats.data() + pass.rows[s].first * rows.n_floats;
  }
  input.summaries = {views, n_summaries};
  return input;
}

// Sets the tiles of the job; returns how many blocks they are.
size_t CpuAttention::choose_tiles(const Layer& layer, size_t job_index, size_t worker) {
  AttentionJob& job = jobs_[job_index];
  const Step& step = *layer.pass.steps[job_steps_[job_index]];
  const SelectionInput input = selection_input(layer, job_index);
  AttentionWorkspace& workspace = worker_workspaces_[worker];
  if (step.tokens.size() > 1) {
    RectifySelection& selection = rectify_selections_[job_index];
    selection.reserve(input.n_blocks, input.block_size, layer.spec.key_dim);
    const auto choice =
        selection.select(*step.selector, *step.attention, step.tolerance, input, workspace);
    job.tiles = choice.tiles;
    job.all_tiles = choice.all_tiles;
    return choice.n_blocks;
  }
  SelectionBuffer& selection = selections_[job_index];
  selection.reserve(input.n_blocks, input.block_size, layer.spec.key_dim);
  const auto choice =
      selection.select(*step.selector, *step.attention, input, step.first_pos + 1, workspace);
  job.tiles = choice.tiles;
  job.all_tiles = choice.all_tiles;
  return choice.n_blocks;
}

void CpuAttention::count_attended(const Layer& layer) const {
  double n_attended = 0;
  for (const AttentionJob& job : jobs_) n_attended += positions_attended(job, layer.spec.window);
  layer.pass.times->n_attended +=
      n_attended / static_cast<double>(layer.pass.n_attention_layers * layer.spec.n_kv_heads);
}

}  // namespace longhaul
