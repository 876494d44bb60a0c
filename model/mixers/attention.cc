#include "model/mixers/attention.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/ops.h"

namespace longhaul {
namespace {

// The most that any attention of the plan needs.
struct Widths {
  size_t q = 0, k = 0, v = 0, out = 0, n_layers = 0;

  explicit Widths(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
      if (spec == nullptr) continue;
      ++n_layers;
      q = std::max(q, spec->q_dim());
      k = std::max(k, spec->k_dim());
      v = std::max(v, spec->v_dim());
      out = std::max(out, spec->out_dim());
    }
  }
};

// Positions that rows of a job attend to, together.
double positions_attended(const AttentionJob& job, size_t window) {
  const auto n_rows = static_cast<double>(job.n_rows);
  if (!job.all_tiles) return n_rows * static_cast<double>(job.tiles.size() * kTileTokens);
  const auto first = static_cast<double>(job.first_pos);
  if (window == 0) return n_rows * (first + (n_rows + 1) / 2);
  double sum = 0;
  for (size_t r = 0; r < job.n_rows; ++r) {
    sum += static_cast<double>(std::min<size_t>(job.first_pos + r + 1, window));
  }
  return sum;
}

}  // namespace

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "attn_q.weight", spec.q_dim(), d_model, weights.wq);
  if (spec.writes) {
    visitor.matrix(prefix + "attn_k.weight", spec.k_dim(), d_model, weights.wk);
    visitor.matrix(prefix + "attn_v.weight", spec.v_dim(), d_model, weights.wv);
  }
  visitor.matrix(prefix + "attn_output.weight", d_model, spec.out_dim(), weights.wo);
  if (spec.bias) {
    visitor.vector(prefix + "attn_q.bias", spec.q_dim(), weights.bq);
    if (spec.writes) {
      visitor.vector(prefix + "attn_k.bias", spec.k_dim(), weights.bk);
      visitor.vector(prefix + "attn_v.bias", spec.v_dim(), weights.bv);
    }
  }
  if (spec.qk_norm == QkNorm::kNone) return;
  const bool each = spec.qk_norm == QkNorm::kHead;
  visitor.vector(prefix + "attn_q_norm.weight", each ? spec.key_dim : spec.q_dim(), weights.q_norm);
  if (spec.writes) {
    visitor.vector(prefix + "attn_k_norm.weight", each ? spec.key_dim : spec.k_dim(),
                   weights.k_norm);
  }
}

SlotSpec slot_of(const AttentionSpec& spec) {
  return PagedSlot{.n_kv_heads = spec.n_kv_heads,
                   .key_dim = spec.key_dim,
                   .value_dim = spec.value_dim,
                   .window = spec.window};
}

Attention::Attention(const ModelPlan& plan, size_t max_rows, size_t n_threads)
    : worker_workspaces_(n_threads) {
  const Widths widths(plan);
  q_ = AlignedBuffer<float>(max_rows * widths.q);
  k_ = AlignedBuffer<float>(max_rows * widths.k);
  v_ = AlignedBuffer<float>(max_rows * widths.v);
  out_ = AlignedBuffer<float>(max_rows * widths.out);
  n_attention_layers_ = widths.n_layers;
}

size_t Attention::row_bytes(const ModelPlan& plan) {
  const Widths widths(plan);
  return (widths.q + widths.k + widths.v + widths.out) * sizeof(float);
}

KvSequence& Attention::cache_of(const Layer& layer, const Step& step) {
  return step.state->paged(layer.spec.kv.slot);
}

// What selectors need of the positions they will look at, once for all layers.
void Attention::begin(Pass& pass) {
  const std::vector<SummarySpec>& specs = pass.steps.front()->state->paged(0).config().summaries;
  pass.selector_rows.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const Summary& summary = *specs[i].summary;
    Pass::SelectorRows& rows = pass.selector_rows[i];
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

void Attention::run(Pass& pass, const AttentionSpec& spec, const AttentionWeights& weights,
                    RowSet rows) {
  const Layer layer{pass, spec, weights};
  const bool narrows = rows == RowSet::kWithLogits && pass.can_narrow();
  pass.prepare_input(pass.normed_rows());
  if (narrows) {
    if (spec.writes) {
      project(layer, false, true);
      rotate(layer, false, true);
      store(layer);
    }
    pass.narrow();
    if (pass.n_rows == 0) return;
    pass.prepare_input(pass.normed_rows());
    project(layer, true, false);
    rotate(layer, true, false);
  } else {
    project(layer, true, spec.writes);
    rotate(layer, true, spec.writes);
    if (spec.writes) store(layer);
  }
  make_jobs(layer);
  pass.timer.lap(&PassTimes::rest_s);
  if (spec.window == 0) {
    select(layer);
    count_blocks(layer);
  }
  pass.timer.lap(&PassTimes::selection_s);
  attend(pass.pool, jobs_, workspace_);
  pass.timer.lap(&PassTimes::attention_s);
  if (pass.times != nullptr) count_attended(layer);
  pass.prepare_input(MatrixView<const float>(out_.data(), pass.n_rows, spec.out_dim()));
  const MatmulTask task = {&weights.wo, pass.product_rows(), nullptr};
  pass.multiply({&task, 1});
}

// q, or k and v, or all three in one fork and join.
void Attention::project(const Layer& layer, bool queries, bool keys) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const AttentionWeights& w = layer.weights;
  const size_t n = pass.n_rows;
  const MatmulTask tasks[] = {
      {&w.wq, MatrixView<float>(q_.data(), n, spec.q_dim()), w.bq.data()},
      {&w.wk, MatrixView<float>(k_.data(), n, spec.k_dim()), w.bk.data()},
      {&w.wv, MatrixView<float>(v_.data(), n, spec.v_dim()), w.bv.data()},
  };
  const std::span<const MatmulTask> all(tasks);
  pass.multiply(queries ? all.first(keys ? 3 : 1) : all.last(2));
}

// QK-norm, then RoPE, where the layer has them.
void Attention::rotate(const Layer& layer, bool queries, bool keys) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const AttentionWeights& w = layer.weights;
  const auto turn = [&](float* heads, size_t n_heads, const AlignedBuffer<float>& norm_weight,
                        size_t r) {
    const size_t dim = norm_weight.size();
    for (size_t i = 0; dim > 0 && i < n_heads * spec.key_dim; i += dim) {
      rms_norm(heads + i, norm_weight.data(), pass.plan.norm_eps, dim, heads + i);
    }
    if (!spec.rope) return;
    const Pass::Angles& rope = pass.angles[*spec.rope];
    const RopeConfig& config = pass.plan.ropes[*spec.rope];
    const size_t n = rope.table.n_frequencies();
    apply_rope(heads, n_heads, spec.key_dim, config.dim, rope.cos.data() + r * n,
               rope.sin.data() + r * n, config.layout);
  };
  pass.for_each_row([&](size_t r, size_t) {
    if (queries) turn(q_.data() + r * spec.q_dim(), spec.n_heads, w.q_norm, r);
    if (keys) turn(k_.data() + r * spec.k_dim(), spec.n_kv_heads, w.k_norm, r);
  });
}

void Attention::store(const Layer& layer) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const size_t n_kv_heads = spec.n_kv_heads;
  const size_t n_tasks = pass.steps.size() * n_kv_heads;
  const size_t serial = pass.n_rows <= Pass::kSerialRows ? n_tasks : 0;
  pass.for_each(n_tasks, serial, [&](size_t task, size_t) {
    const StepRows& rows = pass.rows[task / n_kv_heads];
    const size_t head = task % n_kv_heads;
    cache_of(layer, *pass.steps[task / n_kv_heads])
        .write(spec.kv.layer, head, rows.first_pos, rows.n,
               k_.data() + rows.first * spec.k_dim() + head * spec.key_dim, spec.k_dim(),
               v_.data() + rows.first * spec.v_dim() + head * spec.value_dim, spec.v_dim());
  });
}

// One dense job per KV head and step that has rows.
void Attention::make_jobs(const Layer& layer) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  jobs_.clear();
  job_steps_.clear();
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    const StepRows& rows = pass.rows[s];
    if (rows.n == 0) continue;
    const KvSequence& kv = cache_of(layer, *pass.steps[s]);
    for (size_t head = 0; head < spec.n_kv_heads; ++head) {
      AttentionJob job;
      job.kv = kv.view(spec.kv.layer, head);
      job.q = q_.data() + rows.first * spec.q_dim() + head * spec.n_group() * spec.key_dim;
      job.q_stride = spec.q_dim();
      job.n_rows = rows.n;
      job.n_group = spec.n_group();
      job.first_pos = static_cast<uint32_t>(rows.first_pos);
      job.window = spec.window;
      job.scale = spec.scale;
      job.out = out_.data() + rows.first * spec.out_dim() + head * spec.n_group() * spec.value_dim;
      job.out_stride = spec.out_dim();
      jobs_.push_back(job);
      job_steps_.push_back(s);
    }
  }
}

// Gives the jobs of sparse steps the tiles that their selectors choose.
void Attention::select(const Layer& layer) {
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
  const KvSequence& kv = cache_of(layer, *pass.steps.front());
  const size_t n_views = jobs_.size() * kv.n_summaries();
  if (summary_views_.size() < n_views) summary_views_.resize(n_views);
  if (any_partial && rectify_selections_.size() < jobs_.size())
    rectify_selections_.resize(jobs_.size());
  layer.pass.for_each(jobs_.size(), 1, [&](size_t i, size_t worker) {
    const Step& step = *pass.steps[job_steps_[i]];
    if (step.observer != nullptr) {
      (*step.observer)(layer.spec.kv.layer, i % layer.spec.n_kv_heads, worker,
                       selection_input(layer, i), worker_workspaces_[worker]);
    }
    if (step.selector != nullptr) n_chosen_[i] = choose_tiles(layer, i, worker);
  });
}

void Attention::count_blocks(const Layer& layer) {
  for (size_t i = 0; i < jobs_.size(); ++i) {
    Step& step = *layer.pass.steps[job_steps_[i]];
    StepStats& stats = step.stats;
    const bool one = step.tokens.size() == 1;
    const size_t n_tokens = step.first_pos + step.tokens.size();
    const size_t n_blocks = (n_tokens - 1) / step.state->block_size() + 1;
    (one ? stats.blocks_total : stats.rectified_blocks_total) += n_blocks;
    (one ? stats.blocks_read : stats.rectified_blocks_read) +=
        step.selector == nullptr ? n_blocks : n_chosen_[i];
  }
}

// What there is to choose from in one job of a step at the end of its sequence.
SelectionInput Attention::selection_input(const Layer& layer, size_t job_index) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const size_t s = job_steps_[job_index];
  const Step& step = *pass.steps[s];
  const KvSequence& kv = cache_of(layer, step);
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
    const Pass::SelectorRows& rows = pass.selector_rows[i];
    if (rows.n_floats > 0 && rows.floats.size() > 0)
      views[i].rows = rows.floats.data() + pass.rows[s].first * rows.n_floats;
  }
  input.summaries = {views, n_summaries};
  return input;
}

// Sets the tiles of the job; returns how many blocks they are.
size_t Attention::choose_tiles(const Layer& layer, size_t job_index, size_t worker) {
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

void Attention::count_attended(const Layer& layer) const {
  double n_attended = 0;
  for (const AttentionJob& job : jobs_) n_attended += positions_attended(job, layer.spec.window);
  layer.pass.times->n_attended +=
      n_attended / static_cast<double>(n_attention_layers_ * layer.spec.n_kv_heads);
}

}  // namespace longhaul
