// YOCO (arXiv 2405.05254): the lower layers keep little of a text, gated retention or a window; the
// upper ones, attention.shared_kv_layers of them, read one pair of keys and values that the first
// of them makes of what the lower ones say. A prompt passes through the lower layers alone, and a
// sparse step chooses its blocks once. docs/architectures.md lists the keys.
#include <cmath>

#include "model/common_keys.h"

namespace longhaul {
namespace {

// The heads of the lower layers, by default those of the upper ones.
struct SelfHeads {
  size_t n = 0;
  size_t dim = 0;
};

Result<SelfHeads> read_self_heads(KeyReader& keys, size_t d_model, size_t fallback) {
  SelfHeads heads;
  LH_ASSIGN_OR_RETURN(heads.n, keys.size_or("self_attention.head_count", 4096, fallback));
  LH_ASSIGN_OR_RETURN(heads.dim,
                      keys.size_or("self_attention.key_length", 4096, d_model / heads.n));
  return heads;
}

// The mixer of the lower layers, which turn as their head size wants.
Result<MixerSpec> read_self_mixer(KeyReader& keys, const ModelPlan& plan, SelfHeads heads) {
  LH_ASSIGN_OR_RETURN(const size_t window,
                      keys.count_or("attention.sliding_window", kMaxContext, 0));
  if (window > 0) {
    auto attention = std::get<AttentionSpec>(plan.layers[0].mixer);
    attention.n_heads = attention.n_kv_heads = heads.n;
    attention.key_dim = attention.value_dim = heads.dim;
    attention.scale = 1.0F / std::sqrt(static_cast<float>(heads.dim));
    attention.window = window;
    attention.rope = 1;
    return attention;
  }
  RetentionSpec retention = retention_of(heads.n, heads.dim, heads.dim);
  LH_ASSIGN_OR_RETURN(const double temperature,
                      keys.f64_or("retention.gate_temperature", kPositive, 16.0));
  retention.temperature = static_cast<float>(temperature);
  retention.rope = 1;
  return retention;
}

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  const size_t n_layers = plan.layers.size();
  LH_ASSIGN_OR_RETURN(const size_t n_shared,
                      keys.size_or("attention.shared_kv_layers", n_layers, (n_layers + 1) / 2));
  LH_RETURN_IF_ERROR(read_inclusive(keys, plan.ropes[0]));
  LH_ASSIGN_OR_RETURN(
      const double embedding_scale,
      keys.f64_or("embedding_scale", kPositive, std::sqrt(static_cast<double>(plan.d_model))));
  plan.embedding_scale = static_cast<float>(embedding_scale);
  const size_t n_heads = std::get<AttentionSpec>(plan.layers[0].mixer).n_heads;
  LH_ASSIGN_OR_RETURN(const SelfHeads heads, read_self_heads(keys, plan.d_model, n_heads));
  plan.ropes.push_back(plan.ropes[0]);
  plan.ropes[1].dim = heads.dim;
  LH_ASSIGN_OR_RETURN(const MixerSpec self, read_self_mixer(keys, plan, heads));
  for (size_t i = 0; i < n_layers; ++i) {
    LayerSpec& layer = plan.layers[i];
    const bool first = i == n_layers - n_shared;
    layer.rows = i < n_layers - n_shared ? RowSet::kAll : RowSet::kWithLogits;
    if (layer.rows == RowSet::kAll) {
      layer.mixer = self;
      continue;
    }
    auto& attention = std::get<AttentionSpec>(layer.mixer);
    attention.kv_norm = attention.writes = attention.chooses = first;
  }
  return plan;
}

}  // namespace

extern const Architecture kYocoArchitecture;
const Architecture kYocoArchitecture = {.name = "yoco", .plan = plan};

}  // namespace longhaul
