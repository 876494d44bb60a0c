// The model that is trained: pre-norm layers of a mixer and a gated feed-forward, RoPE on halves,
// tied output. With attention the computation of GGUF's "qwen3" architecture (with QK-norm) or
// "llama" (without), with the mixers of docs/architectures.md that of "retnet", "yoco", "diff",
// "diff2" or "lex".
#pragma once

#include <torch/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::trainer {

// The defaults are the bundled model.
struct ModelConfig {
  std::string arch = "transformer";  // or retnet, yoco, yoco-window, diff, diff2, lex
  int64_t n_layers = 2;
  int64_t d_model = 192;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t head_dim = 64;
  int64_t d_ff = 512;
  int64_t vocab_size = 0;
  double rope_theta = 1e8;
  double norm_eps = 1e-5;
  bool qk_norm = true;
  bool qkv_bias = false;
  // Of an imported model that scales RoPE or rotates a part of the head: radians a position of each
  // pair. Empty: rope_theta's own over the whole head.
  std::vector<double> rope_frequencies = {};
  double rope_magnitude = 1;    // multiplies cos and sin (YaRN)
  bool rope_inclusive = false;  // the last frequency is 1 / theta (model/rope.h)
  double embedding_scale = 1;
  int64_t value_dim = 0;      // retnet: of a head; 0: as its key
  int64_t n_self_heads = 0;   // yoco: of the lower layers; 0: as the upper ones
  int64_t self_head_dim = 0;  // 0: d_model over them
  int64_t n_shared = 0;       // yoco: upper layers; 0: half of all
  int64_t window = 0;         // yoco-window: tokens that a lower layer sees
  int64_t block = 0;  // lex, imported: what is seen is a token's own block and the one before
  std::vector<double> decays = {};   // retnet, imported; empty: the paper's
  std::vector<double> lambdas = {};  // diff, imported: constants of the layers
  bool planted = true;               // start from trainer/plant.h
  double qk_scale = 2.0;  // first value of the QK-norm weights: how sharp attention can be
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ModelConfig, n_layers, d_model, n_heads, n_kv_heads,
                                                head_dim, d_ff, vocab_size, rope_theta, norm_eps,
                                                qk_norm, qkv_bias, rope_frequencies, rope_magnitude,
                                                arch, rope_inclusive, embedding_scale, value_dim,
                                                n_self_heads, self_head_dim, n_shared, window,
                                                block, decays, lambdas, planted, qk_scale)

struct LayerWeights {
  torch::Tensor attn_norm;  // [d_model]
  // Shapes of plain attention; trainer/mixers.cc has those of the others, and which of these a
  // mixer has.
  torch::Tensor wq;        // [n_heads * head_dim, d_model]
  torch::Tensor wk, wv;    // [n_kv_heads * head_dim, d_model]
  torch::Tensor wo;        // [d_model, n_heads * head_dim]
  torch::Tensor wg;        // retention: [heads * value_dim, d_model]
  torch::Tensor w_decay;   // gated retention: [heads, d_model]
  torch::Tensor kv_norm;   // the upper layer of yoco that has wk and wv: [d_model]
  torch::Tensor w_lambda;  // diff2: [n_heads / 2, d_model]
  // diff: [head_dim] each, whose products make lambda; undefined where it is a constant
  torch::Tensor lambda_q1, lambda_k1, lambda_q2, lambda_k2;
  torch::Tensor sub_norm;        // diff: [2 head_dim]
  torch::Tensor bq, bk, bv;      // [n_heads or n_kv_heads * head_dim]; undefined without biases
  torch::Tensor q_norm, k_norm;  // [head_dim]; undefined without QK-norm
  torch::Tensor ffn_norm;        // [d_model]
  torch::Tensor w_gate, w_up;    // [d_ff, d_model]
  torch::Tensor w_down;          // [d_model, d_ff]
};

struct ModelWeights {
  torch::Tensor embedding;  // [vocab_size, d_model]
  std::vector<LayerWeights> layers;
  torch::Tensor norm;  // [d_model]
  torch::Tensor
      output;  // [vocab_size, d_model]; undefined where the embedding is the output matrix

  // Every tensor under its name in a GGUF file, in the order of the file.
  std::vector<std::pair<std::string, torch::Tensor>> named() const;
  void for_each(const std::function<void(const std::string& name, torch::Tensor&)>& visit);
  const torch::Tensor& output_matrix() const { return output.defined() ? output : embedding; }
};

// Tensors without memory (torch's meta device) that have the right shapes; tied output.
ModelWeights shaped_weights(const ModelConfig& config);
// Weights drawn from torch's generator, as leaves that require gradients.
ModelWeights init_weights(const ModelConfig& config);

// Attention of one layer: q [n_rows, n_heads, length, head_dim], k and v [n_rows, n_kv_heads,
// length, head_dim], all after RoPE; returns a tensor shaped like q.
using Attention = std::function<torch::Tensor(int64_t layer, const torch::Tensor& q,
                                              const torch::Tensor& k, const torch::Tensor& v)>;

torch::Tensor dense_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v);

// Is shown q and k of a layer before RoPE (after QK-norm), shaped as Attention gets them, before
// its attention is asked for.
using Observer = std::function<void(int64_t layer, const torch::Tensor& q, const torch::Tensor& k)>;

// ids [n_rows, length] to normalised hidden states [n_rows, length, d_model]; logits are their
// product with output_matrix(). Computed on the device of the weights.
torch::Tensor forward(const ModelConfig& config, const ModelWeights& weights,
                      const torch::Tensor& ids, const Attention& attention,
                      const Observer& before_rope = {});

}  // namespace longhaul::trainer
