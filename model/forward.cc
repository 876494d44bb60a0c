// The forward pass: one page from tokens to logits, then the steps it names.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/linear.h"
#include "kernels/ops.h"
#include "model/model.h"
#include "model/model_impl.h"

namespace longhaul {
namespace {

// Below this many rows a fork and join costs more than the loop.
constexpr size_t kSerialRows = 4;

void for_each(ThreadPool& pool, size_t n, size_t serial, FunctionRef<void(size_t, size_t)> task) {
  if (n <= serial) {
    for (size_t i = 0; i < n; ++i) task(i, 0);
  } else {
    pool.run(n, task);
  }
}

}  // namespace

void Model::run(std::span<Step> steps, MatrixView<float> logits, PassTimes* times) {
  Impl& m = *impl_;
  m.timer.start(times);
  m.begin(steps);
  if (m.active.empty()) return;
  m.embed();
  m.prepare_summaries();
  for (size_t layer = 0; layer < m.config.n_layers; ++layer) {
    const LayerWeights& w = m.weights.layers[layer];
    m.norm(m.x, w.attn_norm.data());
    m.project_qkv(w);
    m.rotate_and_store(layer, w);
    m.timer.lap(&PassTimes::rest_s);
    m.select_blocks(layer);
    m.timer.lap(&PassTimes::selection_s);
    attend(m.pool, m.jobs, m.attention_workspace);
    m.timer.lap(&PassTimes::attention_s);
    if (times != nullptr) m.count_attended(*times);
    m.add_product(m.attention_out, m.config.q_dim(), w.wo);  // x += attention Wo
    m.norm(m.x, w.ffn_norm.data());
    m.feed_forward(w);  // x += (silu(x Wgate) * x Wup) Wdown
  }
  m.project_logits(logits);
  m.timer.lap(&PassTimes::rest_s);
  if (times != nullptr) {
    ++times->n_passes;
    times->n_tokens += m.rows.size();
  }
}

Status Model::Impl::check_tokens(const Step& step) const {
  for (size_t i = 0; i < step.tokens.size(); ++i) {
    const int32_t token = step.tokens[i];
    if (token >= 0 && static_cast<size_t>(token) < config.vocab_size) continue;
    return bad_input("token {} at position {}: expected 0 to {}", token, step.first_pos + i,
                     config.vocab_size - 1);
  }
  return {};
}

void Model::Impl::begin(std::span<Step> steps) {
  active.clear();
  rows.clear();
  step_rows.clear();
  for (Step& step : steps) {
    LH_CHECK(!step.tokens.empty() && step.n_logits <= step.tokens.size());
    LH_CHECK(step.selector == nullptr || step.attention != nullptr);
    LH_CHECK(step.observer == nullptr || step.tokens.size() == 1);
    LH_CHECK(rows.size() + step.tokens.size() <= max_rows);
    step.stats = {};
    step.status = check_tokens(step);
    if (step.status) step.status = step.state->reserve(step.first_pos, step.tokens.size());
    if (!step.status) continue;
    active.push_back(&step);
    step_rows.push_back(rows.size());
    for (size_t i = 0; i < step.tokens.size(); ++i)
      rows.push_back({step.tokens[i], step.first_pos + i});
  }
}

void Model::Impl::embed() {
  const size_t n_angles = rope.n_frequencies();
  for_each(pool, rows.size(), kSerialRows, [&](size_t r, size_t) {
    embed_row(weights.embedding_type, weights.embedding, config.d_model,
              static_cast<size_t>(rows[r].token), x.data() + r * config.d_model);
    rope.angles(rows[r].pos, cos.data() + r * n_angles, sin.data() + r * n_angles);
  });
}

// What selectors need of the positions they will look at, once for all layers.
void Model::Impl::prepare_summaries() {
  const std::vector<SummarySpec>& specs = active.front()->state->paged(0).config().summaries;
  summary_rows.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const Summary& summary = *specs[i].summary;
    const size_t n_floats = summary.n_row_floats();
    if (n_floats == 0) continue;
    for (size_t s = 0; s < active.size(); ++s) {
      const Step& step = *active[s];
      const bool is_asked = step.observer != nullptr ||
                            (step.selector != nullptr && step.selector->summary == specs[i].name);
      if (!is_asked) continue;
      summary_rows[i].ensure(max_rows * n_floats);
      for (size_t r = 0; r < step.tokens.size(); ++r) {
        summary.prepare_row(step.first_pos + r,
                            summary_rows[i].data() + (step_rows[s] + r) * n_floats);
      }
    }
  }
}

// normed = RMSNorm(x) * weight
void Model::Impl::norm(const AlignedBuffer<float>& input, const float* weight) {
  const size_t d = config.d_model;
  for_each(pool, rows.size(), kSerialRows, [&](size_t r, size_t) {
    rms_norm(input.data() + r * d, weight, config.norm_eps, d, normed.data() + r * d);
  });
}

void Model::Impl::project_qkv(const LayerWeights& w) {
  const size_t n = rows.size();
  timer.lap(&PassTimes::rest_s);
  prepare(pool, MatrixView<const float>(normed.data(), n, config.d_model), activations);
  const MatmulTask tasks[] = {
      {&w.wq, MatrixView<float>(q.data(), n, config.q_dim()), w.bq.data()},
      {&w.wk, MatrixView<float>(k.data(), n, config.kv_dim()), w.bk.data()},
      {&w.wv, MatrixView<float>(v.data(), n, config.kv_dim()), w.bv.data()},
  };
  matmul(pool, activations, tasks);
  timer.lap(&PassTimes::weights_s);
}

// RoPE (after QK-norm where the model has it) on q and k, then K and V into the cache.
void Model::Impl::rotate_and_store(size_t layer, const LayerWeights& w) {
  const size_t n_angles = rope.n_frequencies();
  const auto rotate = [&](float* heads, size_t n_heads, const AlignedBuffer<float>& norm_weight,
                          size_t r) {
    if (norm_weight.size() > 0) {
      for (size_t h = 0; h < n_heads; ++h) {
        float* head = heads + h * config.head_dim;
        rms_norm(head, norm_weight.data(), config.norm_eps, config.head_dim, head);
      }
    }
    apply_rope(heads, n_heads, config.head_dim, config.rope.dim, cos.data() + r * n_angles,
               sin.data() + r * n_angles, config.rope.layout);
  };
  for_each(pool, rows.size(), kSerialRows, [&](size_t r, size_t) {
    rotate(q.data() + r * config.q_dim(), config.n_heads, w.q_norm, r);
    rotate(k.data() + r * config.kv_dim(), config.n_kv_heads, w.k_norm, r);
  });

  const size_t n_kv_heads = config.n_kv_heads;
  const size_t serial = rows.size() <= kSerialRows ? active.size() * n_kv_heads : 0;
  for_each(pool, active.size() * n_kv_heads, serial, [&](size_t task, size_t) {
    const Step& step = *active[task / n_kv_heads];
    const size_t head = task % n_kv_heads;
    const size_t offset = step_rows[task / n_kv_heads] * config.kv_dim() + head * config.head_dim;
    step.state->paged(0).write(layer, head, step.first_pos, step.tokens.size(), k.data() + offset,
                               config.kv_dim(), v.data() + offset, config.kv_dim());
  });
}

// One attention job per (step, kv head); a sparse step gets the tiles its selector chooses.
void Model::Impl::select_blocks(size_t layer) {
  const size_t n_kv_heads = config.n_kv_heads;
  jobs.resize(active.size() * n_kv_heads);
  if (selections.size() < jobs.size()) selections.resize(jobs.size());
  bool any_selection = false;
  bool any_partial = false;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Step& step = *active[i / n_kv_heads];
    const size_t head = i % n_kv_heads;
    const size_t offset =
        step_rows[i / n_kv_heads] * config.q_dim() + head * config.n_group() * config.head_dim;
    AttentionJob job;
    job.kv = step.state->paged(0).view(layer, head);
    job.q = q.data() + offset;
    job.q_stride = config.q_dim();
    job.n_rows = step.tokens.size();
    job.n_group = config.n_group();
    job.first_pos = static_cast<uint32_t>(step.first_pos);
    job.scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim));
    job.out = attention_out.data() + offset;
    job.out_stride = config.q_dim();
    jobs[i] = job;
    any_selection |= step.selector != nullptr || step.observer != nullptr;
    any_partial |= step.selector != nullptr && step.tokens.size() > 1;
  }
  if (n_chosen.size() < jobs.size()) n_chosen.resize(jobs.size());
  const size_t n_views = jobs.size() * active.front()->state->paged(0).n_summaries();
  if (summary_views.size() < n_views) summary_views.resize(n_views);
  if (any_partial && rectify_selections.size() < jobs.size())
    rectify_selections.resize(jobs.size());
  if (any_selection) {
    for_each(pool, jobs.size(), 1, [&](size_t i, size_t worker) {
      const Step& step = *active[i / n_kv_heads];
      if (step.observer != nullptr) {
        (*step.observer)(layer, i % n_kv_heads, worker, selection_input(step, layer, i),
                         worker_workspaces[worker]);
      }
      if (step.selector != nullptr) select_for_job(step, layer, i, worker);
    });
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    Step& step = *active[i / n_kv_heads];
    StepStats& stats = step.stats;
    const bool one = step.tokens.size() == 1;
    const size_t block_size = step.state->block_size();
    const size_t n_blocks = (step.first_pos + step.tokens.size() - 1) / block_size + 1;
    (one ? stats.blocks_total : stats.rectified_blocks_total) += n_blocks;
    (one ? stats.blocks_read : stats.rectified_blocks_read) +=
        step.selector == nullptr ? n_blocks : n_chosen[i];
  }
}

// What there is to choose from in one job of a step at the end of its sequence.
SelectionInput Model::Impl::selection_input(const Step& step, size_t layer, size_t job_index) {
  const size_t n_tokens = step.first_pos + step.tokens.size();
  const KvSequence& kv = step.state->paged(0);
  LH_CHECK(n_tokens == kv.n_tokens());
  SelectionInput input;
  input.query = &jobs[job_index];
  input.block_size = kv.block_size();
  input.n_blocks = (n_tokens + input.block_size - 1) / input.block_size;
  const size_t n_summaries = kv.n_summaries();
  SummaryView* const views = summary_views.data() + job_index * n_summaries;
  for (size_t i = 0; i < n_summaries; ++i) {
    views[i] = kv.summary(layer, job_index % config.n_kv_heads, i);
    const size_t n_floats = views[i].summary->n_row_floats();
    if (n_floats > 0 && summary_rows[i].size() > 0)
      views[i].rows = summary_rows[i].data() + step_rows[job_index / config.n_kv_heads] * n_floats;
  }
  input.summaries = {views, n_summaries};
  return input;
}

void Model::Impl::select_for_job(const Step& step, size_t layer, size_t job_index, size_t worker) {
  n_chosen[job_index] =
      choose_tiles(step, selection_input(step, layer, job_index), job_index, worker);
}

// Sets the tiles of the job; returns how many blocks they are.
size_t Model::Impl::choose_tiles(const Step& step, const SelectionInput& input, size_t job_index,
                                 size_t worker) {
  AttentionJob& job = jobs[job_index];
  if (step.tokens.size() > 1) {
    RectifySelection& selection = rectify_selections[job_index];
    selection.reserve(input.n_blocks, input.block_size, config.head_dim);
    const auto choice = selection.select(*step.selector, *step.attention, step.tolerance, input,
                                         worker_workspaces[worker]);
    job.tiles = choice.tiles;
    job.all_tiles = choice.all_tiles;
    return choice.n_blocks;
  }
  SelectionBuffer& selection = selections[job_index];
  selection.reserve(input.n_blocks, input.block_size, config.head_dim);
  const auto choice = selection.select(*step.selector, *step.attention, input, step.first_pos + 1,
                                       worker_workspaces[worker]);
  job.tiles = choice.tiles;
  job.all_tiles = choice.all_tiles;
  return choice.n_blocks;
}

// x += input W^T, for input [rows, n_in].
void Model::Impl::add_product(const AlignedBuffer<float>& input, size_t n_in,
                              const PackedMatrix& w) {
  const size_t n = rows.size();
  const size_t d = config.d_model;
  timer.lap(&PassTimes::rest_s);
  prepare(pool, MatrixView<const float>(input.data(), n, n_in), activations);
  const MatmulTask task = {&w, MatrixView<float>(product.data(), n, d), nullptr};
  matmul(pool, activations, {&task, 1});
  timer.lap(&PassTimes::weights_s);
  for_each(pool, n, kSerialRows,
           [&](size_t r, size_t) { add_in_place(x.data() + r * d, product.data() + r * d, d); });
}

void Model::Impl::feed_forward(const LayerWeights& w) {
  const size_t n = rows.size();
  const size_t d_ff = config.d_ff;
  timer.lap(&PassTimes::rest_s);
  prepare(pool, MatrixView<const float>(normed.data(), n, config.d_model), activations);
  const MatmulTask tasks[] = {
      {&w.w_gate, MatrixView<float>(gate.data(), n, d_ff), nullptr},
      {&w.w_up, MatrixView<float>(up.data(), n, d_ff), nullptr},
  };
  matmul(pool, activations, tasks);
  timer.lap(&PassTimes::weights_s);
  for_each(pool, n, kSerialRows, [&](size_t r, size_t) {
    silu_mul(gate.data() + r * d_ff, up.data() + r * d_ff, d_ff, gate.data() + r * d_ff);
  });
  add_product(gate, d_ff, w.w_down);
}

void Model::Impl::project_logits(MatrixView<float> logits) {
  const size_t d = config.d_model;
  size_t n_wanted = 0;
  for (size_t s = 0; s < active.size(); ++s) {
    Step& step = *active[s];
    step.first_logits = n_wanted;
    const size_t first = step_rows[s] + step.tokens.size() - step.n_logits;
    for (size_t i = 0; i < step.n_logits; ++i, ++n_wanted) {
      rms_norm(x.data() + (first + i) * d, weights.output_norm.data(), config.norm_eps, d,
               normed.data() + n_wanted * d);
    }
  }
  if (n_wanted == 0) return;
  LH_CHECK(logits.n_rows >= n_wanted && logits.n_cols == config.vocab_size);
  timer.lap(&PassTimes::rest_s);
  prepare(pool, MatrixView<const float>(normed.data(), n_wanted, d), activations);
  const MatmulTask task = {&weights.output, logits.rows(0, n_wanted), nullptr};
  matmul(pool, activations, {&task, 1});
  timer.lap(&PassTimes::weights_s);
}

void Model::Impl::count_attended(PassTimes& times) const {
  double n_attended = 0;
  for (const AttentionJob& job : jobs) {
    const auto n_rows = static_cast<double>(job.n_rows);
    n_attended += job.all_tiles ? n_rows * (static_cast<double>(job.first_pos) + (n_rows + 1) / 2)
                                : n_rows * static_cast<double>(job.tiles.size() * kTileTokens);
  }
  times.n_attended += n_attended / static_cast<double>(config.n_layers * config.n_kv_heads);
}

}  // namespace longhaul
