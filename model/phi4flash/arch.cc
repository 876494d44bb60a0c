// SambaY as Phi-4-mini-flash-reasoning has it (arXiv 2507.06607): in the lower half Mamba and
// differential attention in a window take turns; the upper half reads one pair of keys and values,
// made by its first attention, and what the last Mamba's scan said of the token. Nothing knows
// positions. A prompt passes through the lower half alone. Keys and tensors are those of the
// community's files: q, k and v as one matrix, of q and k the even heads first.
// docs/architectures.md lists them.
#include <cmath>

#include "model/common_keys.h"

namespace longhaul {
namespace {

// The kinds of layers, as phi4flash.layer_types numbers them.
enum class Kind : uint8_t { kMamba, kWindow, kPivot, kMemory, kCross };

Kind kind_of(size_t layer, size_t n_layers) {
  const size_t pivot = n_layers / 2 + 1;
  if (layer % 2 == 0) return layer < pivot ? Kind::kMamba : Kind::kMemory;
  return layer < pivot ? Kind::kWindow : layer == pivot ? Kind::kPivot : Kind::kCross;
}

// A key that says again what the number of layers says.
Status expect(KeyReader& keys, const char* suffix, size_t value) {
  LH_ASSIGN_OR_RETURN(const size_t found, keys.count_or(suffix, kMaxContext, value));
  if (found == value) return {};
  return unsupported("{}: key '{}': expected {}, found {}", keys.path(), keys.key(suffix), value,
                     found);
}

Status check_layer_types(KeyReader& keys, size_t n_layers) {
  constexpr const char* kKey = "layer_types";
  const GgufValue* const value = keys.find(kKey);
  if (value == nullptr) return {};
  keys.skip(kKey);
  std::vector<int32_t> expected;
  for (size_t i = 0; i < n_layers; ++i)
    expected.push_back(static_cast<int32_t>(kind_of(i, n_layers)));
  if (value->array() != nullptr && value->array()->to_i32() == expected) return {};
  return unsupported("{}: key '{}': expected the kinds of a SambaY of {} layers, found {}",
                     keys.path(), keys.key(kKey), n_layers, describe(*value, 40));
}

Result<MambaSpec> read_mamba(KeyReader& keys, size_t d_model) {
  MambaSpec spec;
  LH_ASSIGN_OR_RETURN(const size_t expand, keys.size_or("ssm_expand", 64, 2));
  LH_ASSIGN_OR_RETURN(spec.d_inner, keys.size_or("ssm_d_inner", 1U << 22, expand * d_model));
  LH_ASSIGN_OR_RETURN(spec.d_state, keys.size_or("ssm_d_state", 1024, 16));
  LH_ASSIGN_OR_RETURN(spec.d_conv, keys.size_or("ssm_d_conv", 64, 4));
  LH_ASSIGN_OR_RETURN(spec.dt_rank, keys.size_or("ssm_dt_rank", 1U << 20, (d_model + 15) / 16));
  return spec;
}

// What the heads of all layers have in common.
Result<AttentionSpec> read_heads(KeyReader& keys, AttentionSpec spec) {
  if (spec.n_kv_heads % 2 != 0) {
    return bad_input("{}: key '{}': expected an even number, found {}", keys.path(),
                     keys.key("attention.head_count_kv"), spec.n_kv_heads);
  }
  spec.n_kv_heads /= 2;
  spec.key_dim *= 2;  // its scale stays that of one part
  spec.value_dim *= 2;
  spec.pairs = HeadPairs::kTwoParts;
  spec.rope.reset();
  spec.bias = spec.out_bias = spec.is_fused = spec.learns_lambda = true;
  return spec;
}

Result<size_t> read_window(KeyReader& keys) {
  const char* const key =
      keys.has("sliding_window") ? "sliding_window" : "attention.sliding_window";
  return keys.size_or(key, kMaxContext, 512);
}

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  const size_t n_layers = plan.layers.size();
  if (n_layers % 4 != 0) {
    return bad_input("{}: key '{}': expected a multiple of 4, found {}", keys.path(),
                     keys.key("block_count"), n_layers);
  }
  plan.ropes.clear();
  plan.has_layer_norms = true;
  LH_ASSIGN_OR_RETURN(const double eps, keys.f64_or("attention.layer_norm_epsilon",
                                                    {.least = 0, .most = 1}, plan.norm_eps));
  plan.norm_eps = static_cast<float>(eps);
  LH_RETURN_IF_ERROR(expect(keys, "mb_per_layer", 2));
  LH_RETURN_IF_ERROR(expect(keys, "pivot_layer", n_layers / 2 + 1));
  LH_RETURN_IF_ERROR(expect(keys, "ssm_cache_layer", n_layers / 2));
  LH_RETURN_IF_ERROR(check_layer_types(keys, n_layers));
  LH_ASSIGN_OR_RETURN(const MambaSpec mamba, read_mamba(keys, plan.d_model));
  LH_ASSIGN_OR_RETURN(const AttentionSpec heads,
                      read_heads(keys, std::get<AttentionSpec>(plan.layers[0].mixer)));
  LH_ASSIGN_OR_RETURN(const size_t window, read_window(keys));
  for (size_t i = 0; i < n_layers; ++i) {
    LayerSpec& layer = plan.layers[i];
    std::get<GatedSpec>(layer.ffn).is_fused = true;
    layer.rows = i > n_layers / 2 ? RowSet::kWithLogits : RowSet::kAll;
    const Kind kind = kind_of(i, n_layers);
    if (kind == Kind::kMemory) {
      layer.mixer = MemorySpec{mamba.d_inner};
    } else if (kind == Kind::kMamba) {
      MambaSpec spec = mamba;
      spec.gives_memory = i == n_layers / 2;
      layer.mixer = spec;
    } else {
      AttentionSpec spec = heads;
      spec.window = kind == Kind::kWindow ? window : 0;
      spec.writes = kind != Kind::kCross;
      spec.chooses = kind != Kind::kCross;
      spec.lambda = 0.8F - 0.6F * std::exp(-0.3F * static_cast<float>(i));
      layer.mixer = spec;
    }
  }
  return plan;
}

}  // namespace

extern const Architecture kPhi4flashArchitecture;
const Architecture kPhi4flashArchitecture = {.name = "phi4flash", .plan = plan};

}  // namespace longhaul
