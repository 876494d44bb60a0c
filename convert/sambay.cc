#include "convert/sambay.h"

#include <string_view>

namespace longhaul {
namespace {

constexpr size_t kMaxWidth = 1U << 22;

// The kinds of layers as the key layer_types numbers them.
enum class Kind : uint8_t { kMamba, kWindow, kPivot, kMemory, kCross };

Kind kind_of(const CheckpointConfig& config, size_t layer) {
  const size_t pivot = config.n_layers / 2 + 1;
  if (layer % 2 == 0) return layer < pivot ? Kind::kMamba : Kind::kMemory;
  return layer < pivot ? Kind::kWindow : layer == pivot ? Kind::kPivot : Kind::kCross;
}

// Collects the tensors of one layer.
struct Layer {
  const CheckpointConfig& config;
  std::vector<TensorOrder>& orders;
  std::string from, to;  // "model.layers.3.", "blk.3."

  TensorOrder& add(std::string_view source, std::string_view target, size_t n_out,
                   size_t n_in = 0) {
    TensorOrder& order = orders.emplace_back();
    order.source = fmt::format("{}{}", from, source);
    order.target = fmt::format("{}{}", to, target);
    order.n_out = n_out;
    order.n_in = n_in;
    return order;
  }
  void norm(std::string_view source, std::string_view target) {
    for (const char* part : {"weight", "bias"}) {
      add(fmt::format("{}.{}", source, part), fmt::format("{}.{}", target, part), config.d_model);
    }
  }
};

void list_mamba(Layer layer) {
  const CheckpointConfig& config = layer.config;
  const SambaYConfig& s = *config.sambay;
  layer.add("attn.in_proj.weight", "ssm_in.weight", 2 * s.d_inner, config.d_model);
  TensorOrder& conv = layer.add("attn.conv1d.weight", "ssm_conv1d.weight", s.d_inner, s.d_conv);
  conv.has_middle = conv.stays_f32 = true;
  layer.add("attn.conv1d.bias", "ssm_conv1d.bias", s.d_inner);
  layer.add("attn.x_proj.weight", "ssm_x.weight", s.dt_rank + 2 * s.d_state, s.d_inner);
  layer.add("attn.dt_proj.weight", "ssm_dt.weight", s.d_inner, s.dt_rank).stays_f32 = true;
  layer.add("attn.dt_proj.bias", "ssm_dt.bias", s.d_inner);
  TensorOrder& a = layer.add("attn.A_log", "ssm_a", s.d_inner, s.d_state);
  a.stays_f32 = a.is_negated_exp = true;
  layer.add("attn.D", "ssm_d", s.d_inner);
  layer.add("attn.out_proj.weight", "ssm_out.weight", config.d_model, s.d_inner);
}

void list_attention(Layer layer, bool writes) {
  const CheckpointConfig& config = layer.config;
  const size_t n_q = config.n_heads * config.head_dim;
  const size_t n_kv = writes ? config.n_kv_heads * config.head_dim : 0;
  for (const char* part : {"weight", "bias"}) {
    const bool is_matrix = std::string_view(part) == "weight";
    TensorOrder& qkv =
        layer.add(fmt::format("attn.Wqkv.{}", part), fmt::format("attn_qkv.{}", part),
                  n_q + 2 * n_kv, is_matrix ? config.d_model : 0);
    qkv.parity = {config.n_heads, writes ? config.n_kv_heads : 0, config.head_dim};
    layer.add(fmt::format("attn.out_proj.{}", part), fmt::format("attn_output.{}", part),
              config.d_model, is_matrix ? n_q : 0);
  }
  for (const char* vector : {"q1", "k1", "q2", "k2"}) {
    layer.add(fmt::format("attn.inner_cross_attn.lambda_{}", vector),
              fmt::format("attn_lambda_{}.weight", vector), config.head_dim);
  }
  layer.add("attn.inner_cross_attn.subln.weight", "attn_subln.weight", 2 * config.head_dim);
}

void list_memory(Layer layer) {
  const CheckpointConfig& config = layer.config;
  layer.add("attn.in_proj.weight", "gmu_in.weight", config.sambay->d_inner, config.d_model);
  layer.add("attn.out_proj.weight", "gmu_out.weight", config.d_model, config.sambay->d_inner);
}

}  // namespace

Status read_sambay(const JsonFields& fields, CheckpointConfig& config) {
  if (config.n_layers % 4 != 0) return fields.wrong("num_hidden_layers", "a multiple of 4");
  if (config.n_kv_heads % 2 != 0) return fields.wrong("num_key_value_heads", "an even number");
  SambaYConfig sambay;
  LH_ASSIGN_OR_RETURN(const size_t period, fields.size_or("mb_per_layer", 1024, 2));
  if (period != 2) return fields.wrong("mb_per_layer", "2");
  LH_ASSIGN_OR_RETURN(const size_t expand, fields.size_or("mamba_expand", 64, 2));
  sambay.d_inner = expand * config.d_model;
  LH_ASSIGN_OR_RETURN(sambay.d_state, fields.size_or("mamba_d_state", 1024, 16));
  LH_ASSIGN_OR_RETURN(sambay.d_conv, fields.size_or("mamba_d_conv", 64, 4));
  const Json* const rank = fields.find("mamba_dt_rank");
  sambay.dt_rank = (config.d_model + 15) / 16;
  if (rank != nullptr && *rank != "auto") {
    LH_ASSIGN_OR_RETURN(sambay.dt_rank, fields.size("mamba_dt_rank", kMaxWidth));
  }
  LH_ASSIGN_OR_RETURN(const bool has_conv_bias, fields.flag_or("mamba_conv_bias", true));
  if (!has_conv_bias) return fields.wrong("mamba_conv_bias", "true");
  LH_ASSIGN_OR_RETURN(const bool has_bias, fields.flag_or("mamba_proj_bias", false));
  if (has_bias) return fields.wrong("mamba_proj_bias", "false");
  LH_ASSIGN_OR_RETURN(config.window, fields.size("sliding_window", size_t{1} << 28));
  config.sambay = sambay;
  return {};
}

void set_sambay_keys(const CheckpointConfig& config, GgufWriter& writer) {
  const SambaYConfig& s = *config.sambay;
  std::vector<int32_t> kinds;
  for (size_t i = 0; i < config.n_layers; ++i)
    kinds.push_back(static_cast<int32_t>(kind_of(config, i)));
  const std::string& arch = config.architecture;
  writer.set_i32_array(arch + ".layer_types", kinds);
  const auto count = [&](std::string_view suffix, size_t value) {
    writer.set_u32(fmt::format("{}.{}", arch, suffix), static_cast<uint32_t>(value));
  };
  count("mb_per_layer", 2);
  count("sliding_window", config.window);
  count("pivot_layer", config.n_layers / 2 + 1);
  count("ssm_cache_layer", config.n_layers / 2);
  count("ssm_d_conv", s.d_conv);
  count("ssm_d_state", s.d_state);
  count("ssm_d_inner", s.d_inner);
  count("ssm_dt_rank", s.dt_rank);
  count("ssm_expand", s.d_inner / config.d_model);
  writer.set_f32(arch + ".attention.layer_norm_epsilon", static_cast<float>(config.norm_eps));
}

void list_sambay_layers(const CheckpointConfig& config, std::vector<TensorOrder>& orders) {
  for (size_t i = 0; i < config.n_layers; ++i) {
    Layer layer{config, orders, fmt::format("model.layers.{}.", i), fmt::format("blk.{}.", i)};
    layer.norm("input_layernorm", "attn_norm");
    const Kind kind = kind_of(config, i);
    if (kind == Kind::kMamba) list_mamba(layer);
    if (kind == Kind::kMemory) list_memory(layer);
    if (kind != Kind::kMamba && kind != Kind::kMemory) list_attention(layer, kind != Kind::kCross);
    layer.norm("post_attention_layernorm", "ffn_norm");
    layer.add("mlp.fc1.weight", "ffn_up.weight", 2 * config.d_ff, config.d_model);
    layer.add("mlp.fc2.weight", "ffn_down.weight", config.d_model, config.d_ff);
  }
}

}  // namespace longhaul
