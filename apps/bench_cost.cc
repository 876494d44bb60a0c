#include <algorithm>
#include <cmath>

#include "apps/bench_report.h"
#include "attention/gate/summary.h"
#include "attention/selector.h"
#include "model/state_slots.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

// The state of one sequence as bench has it.
std::vector<SlotConfig> slots_of(const BenchReport& report, size_t n_tokens) {
  StateOptions options{.k_type = report.options.k_type,
                       .v_type = report.options.v_type,
                       .block_size = report.options.block_size,
                       .n_tokens = n_tokens};
  SelectorSetup setup = selector_setup(report.plan, report.options.block_size);
  setup.kept.insert(setup.kept.end(), report.options.selectors.begin(),
                    report.options.selectors.end());
  options.summaries = specs_of(plan_summaries(setup).value());
  if (report.model.gate_dim > 0)
    options.summaries.push_back(gate_summary_spec(report.model.gate_dim));
  return state_slots(report.plan, options);
}

// What scoring the blocks of a context reads: their descriptors, or their gate keys and the weights
// of the gate queries, which are in f16.
double scored_bytes(const BenchReport& report, const StateBytes& state) {
  const Selector& selector = *find_selector(report.attention.selector);
  if (selector.summary.empty()) return 0;
  if (!selector.learned) return static_cast<double>(state.summary(selector.summary));
  const SelectorSetup setup = selector_setup(report.plan, report.options.block_size);
  return static_cast<double>(state.summary(kGateSummary) + 2 * setup.n_layers * setup.n_heads *
                                                               setup.key_dim *
                                                               report.model.gate_dim);
}

// Elements of the matrices that a row is multiplied with: every row of a pass, and those whose
// logits are wanted besides.
struct Elements {
  double every_row = 0;
  double with_logits = 0;

  explicit Elements(const ModelPlan& plan) {
    const auto d_model = static_cast<double>(plan.d_model);
    for (const LayerSpec& layer : plan.layers) {
      double rest = 0;  // that rows without logits can do without in a layer that narrows
      if (const auto* attention = std::get_if<AttentionSpec>(&layer.mixer)) {
        rest += static_cast<double>(attention->q_proj_dim() + attention->joined_dim());
        if (attention->writes)
          every_row += d_model * static_cast<double>(attention->k_dim() + attention->v_dim());
      } else if (const auto* retention = std::get_if<RetentionSpec>(&layer.mixer)) {
        rest += static_cast<double>(2 * retention->k_dim() + 3 * retention->v_dim());
      } else if (const auto* mamba = std::get_if<MambaSpec>(&layer.mixer)) {
        rest += static_cast<double>(3 * mamba->d_inner);
        const size_t n_choices = 2 * mamba->dt_rank + 2 * mamba->d_state;
        every_row += static_cast<double>(mamba->d_inner * n_choices);
      } else {
        rest += static_cast<double>(2 * std::get<MemorySpec>(layer.mixer).d_inner);
      }
      if (const auto* experts = std::get_if<ExpertsSpec>(&layer.ffn)) {
        rest += static_cast<double>(3 * experts->n_active * experts->each.d_ff);
        rest += static_cast<double>(experts->n_experts);
      } else {
        rest += static_cast<double>(3 * std::get<GatedSpec>(layer.ffn).d_ff);
      }
      (layer.rows == RowSet::kAll ? every_row : with_logits) += d_model * rest;
    }
    with_logits += d_model * static_cast<double>(plan.vocab_size);
  }
};

double attention_ops(const ModelPlan& plan, const PassTimes& times) {
  double per_position = 0;
  for (const LayerSpec& layer : plan.layers) {
    if (const auto* attention = std::get_if<AttentionSpec>(&layer.mixer))
      per_position += 2 * static_cast<double>(attention->q_dim() + attention->out_dim());
  }
  return times.n_attended * per_position;
}

// n_logits: of how many of the rows the logits were wanted.
double total_ops(const ModelPlan& plan, const PassTimes& times, size_t n_logits) {
  const Elements elements(plan);
  return 2 * (static_cast<double>(times.n_tokens) * elements.every_row +
              static_cast<double>(n_logits) * elements.with_logits) +
         attention_ops(plan, times);
}

// Bytes of K and V that one attended position stands for, all layers.
double position_bytes(const BenchReport& report) {
  double n_bytes = 0;
  for (const LayerSpec& layer : report.plan.layers) {
    const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
    if (attention == nullptr) continue;
    const size_t tile = k_tile_bytes(report.options.k_type, attention->key_dim) +
                        v_tile_bytes(report.options.v_type, attention->value_dim);
    n_bytes += static_cast<double>(attention->n_kv_heads * tile) / kTileTokens;
  }
  return n_bytes;
}

// Bytes of weights that passes read. Rows of one pass share the experts they agree on: n rows that
// choose k of N at random read a share of 1 - (1 - k / N)^n.
double weight_bytes(const BenchReport& report, const PassTimes& times, bool with_logits) {
  if (times.n_passes == 0) return 0;
  const auto n_passes = static_cast<double>(times.n_passes);
  const auto per_row = static_cast<double>(report.weights.per_token);
  double per_pass = per_row;
  const auto* experts = std::get_if<ExpertsSpec>(&report.plan.layers[0].ffn);
  if (experts != nullptr) {
    const double active =
        static_cast<double>(experts->n_active) / static_cast<double>(experts->n_experts);
    const double share = 1 - std::pow(1 - active, static_cast<double>(times.n_tokens) / n_passes);
    const double of_experts = (static_cast<double>(report.weights.packed) - per_row) / (1 - active);
    per_pass += (share - active) * of_experts;
  }
  const Elements elements(report.plan);
  const double without = elements.every_row / (elements.every_row + elements.with_logits);
  return n_passes * per_pass * (with_logits ? 1 : without);
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

}  // namespace

BenchCost bench_cost(const BenchReport& report, const BenchRow& row) {
  const ModelPlan& plan = report.plan;
  const bool prefill = row.kind == BenchKind::kPrefill;
  const PassTimes& passes = prefill ? row.profile.prompt : row.profile.steps;
  const PassTimes chunks = prefill ? PassTimes() : row.profile.chunks;
  const auto n_tokens = static_cast<double>(row.n_tokens * row.n_texts);
  const double ms = 1e3 / n_tokens;

  BenchCost cost;
  cost.weights_ms = passes.weights_s * ms;
  cost.selection_ms = passes.selection_s * ms;
  cost.attention_ms = passes.attention_s * ms;
  cost.chunks_ms = chunks.total_s() * ms;
  cost.rest_ms = std::max(0.0, row.profiled_s * ms - cost.total_ms());

  const size_t end = row.depth + row.n_tokens;
  const std::vector<SlotConfig> slots = slots_of(report, end);
  const double kv_bytes = position_bytes(report);
  // A pass over several rows of a text reads a tile once for all of them.
  const auto tiles_read = [&](const PassTimes& times) {
    return rate(times.n_attended * static_cast<double>(times.n_passes * row.n_texts),
                static_cast<double>(times.n_tokens));
  };
  const double scored = static_cast<double>(row.attention.sparse_steps) *
                        scored_bytes(report, bytes_for_tokens(slots, end));
  // Verification needs the logits of its rows, rectification none.
  const size_t chunk_logits = row.attention.drafted > 0 ? chunks.n_tokens : 0;
  const size_t pass_logits = prefill ? 1 : passes.n_tokens;
  const double pass_bytes = weight_bytes(report, passes, true);
  cost.bytes_per_token =
      (pass_bytes + weight_bytes(report, chunks, chunk_logits > 0) +
       (tiles_read(passes) + tiles_read(chunks)) * kv_bytes + (prefill ? 0 : scored)) /
      n_tokens;
  cost.ops_per_token =
      (total_ops(plan, passes, pass_logits) + total_ops(plan, chunks, chunk_logits)) / n_tokens;

  cost.weights_bytes_per_s = rate(pass_bytes, passes.weights_s);
  cost.attention_bytes_per_s = rate(tiles_read(passes) * kv_bytes, passes.attention_s);
  cost.attention_ops_per_s = rate(attention_ops(plan, passes), passes.attention_s);
  cost.chunk_ops_per_s = prefill ? rate(total_ops(plan, passes, pass_logits), passes.total_s())
                                 : rate(total_ops(plan, chunks, chunk_logits), chunks.total_s());
  return cost;
}

}  // namespace longhaul
