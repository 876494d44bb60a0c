#include "convert/tensor_list.h"

#include <string_view>

#include "convert/sambay.h"

namespace longhaul {
namespace {

// Collects the tensors of one layer.
struct Layer {
  std::vector<TensorOrder>& orders;
  std::string from, to;  // "model.layers.3.", "blk.3."

  void matrix(std::string_view source, std::string_view target, size_t n_out, size_t n_in,
              size_t n_heads = 0) {
    orders.push_back({fmt::format("{}{}.weight", from, source),
                      fmt::format("{}{}.weight", to, target), n_out, n_in, n_heads});
  }
  void bias(std::string_view source, std::string_view target, size_t n) {
    orders.push_back(
        {fmt::format("{}{}.bias", from, source), fmt::format("{}{}.bias", to, target), n});
  }
  void norm(std::string_view source, std::string_view target, size_t n, bool adds_one) {
    orders.push_back({fmt::format("{}{}.weight", from, source),
                      fmt::format("{}{}.weight", to, target), n, 0, 0, adds_one});
  }
};

void list_attention(const CheckpointConfig& config, Layer layer) {
  const size_t d_q = config.n_heads * config.head_dim;
  const size_t d_kv = config.n_kv_heads * config.head_dim;
  layer.matrix("self_attn.q_proj", "attn_q", d_q, config.d_model,
               config.is_interleaved ? config.n_heads : 0);
  layer.matrix("self_attn.k_proj", "attn_k", d_kv, config.d_model,
               config.is_interleaved ? config.n_kv_heads : 0);
  layer.matrix("self_attn.v_proj", "attn_v", d_kv, config.d_model);
  if (config.has_qkv_bias) {
    layer.bias("self_attn.q_proj", "attn_q", d_q);
    layer.bias("self_attn.k_proj", "attn_k", d_kv);
    layer.bias("self_attn.v_proj", "attn_v", d_kv);
  }
  if (config.has_qk_norm) {
    layer.norm("self_attn.q_norm", "attn_q_norm", config.head_dim, config.is_gemma);
    layer.norm("self_attn.k_norm", "attn_k_norm", config.head_dim, config.is_gemma);
  }
  layer.matrix("self_attn.o_proj", "attn_output", config.d_model, d_q);
}

void list_layer(const CheckpointConfig& config, Layer layer) {
  const size_t d = config.d_model;
  layer.norm("input_layernorm", "attn_norm", d, config.is_gemma);
  list_attention(config, layer);
  if (config.is_gemma) {
    layer.norm("post_attention_layernorm", "post_attention_norm", d, true);
    layer.norm("pre_feedforward_layernorm", "ffn_norm", d, true);
    layer.norm("post_feedforward_layernorm", "post_ffw_norm", d, true);
  } else {
    layer.norm("post_attention_layernorm", "ffn_norm", d, false);
  }
  layer.matrix("mlp.gate_proj", "ffn_gate", config.d_ff, d);
  layer.matrix("mlp.up_proj", "ffn_up", config.d_ff, d);
  layer.matrix("mlp.down_proj", "ffn_down", d, config.d_ff);
}

// The heads of the q rows, of the k rows behind them; v rows stay.
size_t row_by_parity(const TensorOrder::Parity& parity, size_t row) {
  const auto [n_q, n_k, d] = parity;
  const size_t head = row / d;
  if (head >= n_q + n_k) return row;
  const size_t first = head < n_q ? 0 : n_q, n = head < n_q ? n_q : n_k;
  const size_t at = head - first;
  const size_t source = at < n / 2 ? 2 * at : 2 * (at - n / 2) + 1;
  return (first + source) * d + row % d;
}

}  // namespace

std::vector<TensorOrder> list_tensors(const CheckpointConfig& config) {
  std::vector<TensorOrder> orders;
  Layer ends{orders, "model.", ""};
  ends.matrix("embed_tokens", "token_embd", config.vocab_size, config.d_model);
  if (config.sambay) list_sambay_layers(config, orders);
  for (size_t i = 0; i < config.n_layers && !config.sambay; ++i) {
    list_layer(config, {orders, fmt::format("model.layers.{}.", i), fmt::format("blk.{}.", i)});
  }
  ends.norm(config.sambay ? "final_layernorm" : "norm", "output_norm", config.d_model,
            config.is_gemma);
  if (config.sambay) ends.bias("final_layernorm", "output_norm", config.d_model);
  if (!config.is_tied) {
    ends.from.clear();
    ends.matrix("lm_head", "output", config.vocab_size, config.d_model);
  }
  return orders;
}

size_t source_row(const TensorOrder& order, size_t row) {
  if (order.parity.head_dim > 0) return row_by_parity(order.parity, row);
  if (order.n_heads == 0) return row;
  const size_t d = order.n_out / order.n_heads;
  const size_t in_head = row % d;
  return row - in_head + in_head / 2 + (in_head % 2) * (d / 2);
}

bool is_left_out(const CheckpointConfig& config, const std::string& source) {
  return source.ends_with(".rotary_emb.inv_freq") || (config.is_tied && source == "lm_head.weight");
}

}  // namespace longhaul
