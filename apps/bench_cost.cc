#include <algorithm>

#include "apps/bench_report.h"
#include "attention/gate/summary.h"
#include "attention/minmax/summary.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

// The state of one sequence of a plain model, as bench has it.
std::vector<SlotConfig> slots_of(const BenchReport& report, size_t n_tokens) {
  CacheConfig cache;
  cache.n_layers = report.model.n_layers;
  cache.n_kv_heads = report.model.n_kv_heads;
  cache.key_dim = cache.value_dim = report.model.head_dim;
  cache.k_type = report.options.k_type;
  cache.v_type = report.options.v_type;
  cache.block_size = report.options.block_size;
  cache.max_tokens = n_tokens;
  cache.summaries = {bounds_summary_spec(cache.key_dim)};
  if (report.model.gate_dim > 0)
    cache.summaries.push_back(gate_summary_spec(report.model.gate_dim));
  return {cache};
}

// What scoring the blocks of a context reads: their descriptors, or their gate keys and the weights
// of the gate queries, which are in f16.
double scored_bytes(const BenchReport& report, const StateBytes& state) {
  if (report.attention.selector != "gate")
    return static_cast<double>(state.summary(kBoundsSummary));
  const ModelInfo& model = report.model;
  return static_cast<double>(state.summary(kGateSummary) +
                             2 * model.n_layers * model.n_heads * model.head_dim * model.gate_dim);
}

// Elements of the matrices a row is multiplied with; `with_logits`: the output matrix too.
double matrix_elements(const ModelInfo& model, bool with_logits) {
  const double q_dim = static_cast<double>(model.n_heads * model.head_dim);
  const double kv_dim = static_cast<double>(model.n_kv_heads * model.head_dim);
  const auto d_model = static_cast<double>(model.d_model);
  const double layer = d_model * (2 * q_dim + 2 * kv_dim + 3 * static_cast<double>(model.d_ff));
  return layer * static_cast<double>(model.n_layers) +
         (with_logits ? d_model * static_cast<double>(model.vocab_size) : 0);
}

double attention_ops(const ModelInfo& model, const PassTimes& times) {
  return times.n_attended * 4 * static_cast<double>(model.n_heads * model.head_dim) *
         static_cast<double>(model.n_layers);
}

// n_logits: how many of the rows were multiplied with the output matrix.
double total_ops(const ModelInfo& model, const PassTimes& times, size_t n_logits) {
  const double hidden = matrix_elements(model, false);
  const double output = matrix_elements(model, true) - hidden;
  return 2 * (static_cast<double>(times.n_tokens) * hidden +
              static_cast<double>(n_logits) * output) +
         attention_ops(model, times);
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

}  // namespace

BenchCost bench_cost(const BenchReport& report, const BenchRow& row) {
  const ModelInfo& model = report.model;
  const bool prefill = row.kind == BenchKind::kPrefill;
  const PassTimes& passes = prefill ? row.profile.prompt : row.profile.steps;
  const PassTimes chunks = prefill ? PassTimes() : row.profile.chunks;
  const auto n_tokens = static_cast<double>(row.n_tokens);
  const double ms = 1e3 / n_tokens;

  BenchCost cost;
  cost.weights_ms = passes.weights_s * ms;
  cost.selection_ms = passes.selection_s * ms;
  cost.attention_ms = passes.attention_s * ms;
  cost.chunks_ms = chunks.total_s() * ms;
  cost.rest_ms = std::max(0.0, row.profiled_s * ms - cost.total_ms());

  const size_t end = row.depth + row.n_tokens;
  const std::vector<SlotConfig> slots = slots_of(report, end);
  const StateBytes per_token = bytes_per_token(slots);
  const auto kv_bytes = static_cast<double>(per_token.keys + per_token.values);
  // A pass over several rows reads a tile once for all of them.
  const auto tiles_read = [](const PassTimes& times) {
    return rate(times.n_attended * static_cast<double>(times.n_passes),
                static_cast<double>(times.n_tokens));
  };
  const auto packed = static_cast<double>(model.packed_bytes);
  const double scored = static_cast<double>(row.attention.sparse_steps) *
                        scored_bytes(report, bytes_for_tokens(slots, end));
  cost.bytes_per_token =
      (static_cast<double>(passes.n_passes + chunks.n_passes) * packed +
       (tiles_read(passes) + tiles_read(chunks)) * kv_bytes + (prefill ? 0 : scored)) /
      n_tokens;
  const size_t chunk_logits =
      row.attention.drafted > 0 ? chunks.n_tokens : 0;  // verification needs them
  const size_t pass_logits = prefill ? 1 : passes.n_tokens;
  cost.ops_per_token =
      (total_ops(model, passes, pass_logits) + total_ops(model, chunks, chunk_logits)) / n_tokens;

  cost.weights_bytes_per_s = rate(static_cast<double>(passes.n_passes) * packed, passes.weights_s);
  cost.attention_bytes_per_s = rate(tiles_read(passes) * kv_bytes, passes.attention_s);
  cost.attention_ops_per_s = rate(attention_ops(model, passes), passes.attention_s);
  cost.chunk_ops_per_s = prefill ? rate(total_ops(model, passes, pass_logits), passes.total_s())
                                 : rate(total_ops(model, chunks, chunk_logits), chunks.total_s());
  return cost;
}

}  // namespace longhaul
