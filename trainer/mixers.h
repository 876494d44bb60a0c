// What stands before the feed-forward of a layer, by architecture, in the form it is trained in:
// attention, retention in parallel, one cache for all upper layers, differences of maps.
#pragma once

#include "base/result.h"
#include "trainer/model.h"
#include "trainer/rope.h"

namespace longhaul::trainer {

enum class MixerKind : uint8_t {
  kAttention,
  kRetention,       // fixed decays
  kGatedRetention,  // a decay for each token
  kWindow,          // attention to the last config.window tokens
  kShared,          // attention to keys and values that the first such layer makes
  kTwoParts,        // diff
  kSameKeys,        // diff2
  kDecayed,         // lex: attention whose pairs decay with distance
};
MixerKind mixer_of(const ModelConfig& config, int64_t layer);

// An Error that names the field: an architecture that is not known, heads that do not fit it.
Status validate(const ModelConfig& config);
// Fills in what an architecture has unless it is told otherwise: heads of lower layers, how many
// upper ones there are, how frequencies are spaced, no QK-norm.
void settle(ModelConfig& config);

// The tensors that the mixer of a layer has, without memory.
void shape_mixer(const ModelConfig& config, int64_t layer, LayerWeights& weights);
// Dimensions of a head of q and k that turn together.
int64_t rotated_dim(const ModelConfig& config, int64_t layer);

// Lambda of a layer of diff (arXiv 2410.05258): exp(lq1 . lk1) - exp(lq2 . lk2) + lambda_init, or
// the constant of an imported model. lambda_init = 0.8 - 0.6 exp(-0.3 layer).
double lambda_init(int64_t layer);
torch::Tensor lambda_of(const ModelConfig& config, int64_t layer, const LayerWeights& weights);
// What multiplies a head's normalised difference: 1 - lambda_init; 1 where the weights have it in.
double sub_norm_factor(const ModelConfig& config, int64_t layer);

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

// The mixers of one forward pass.
class Mixers {
 public:
  Mixers(const ModelConfig& config, int64_t length, const torch::TensorOptions& options,
         const Attention& attention, const Observer& before_rope);

  // What layer i adds to the residual stream x [n_rows, length, d_model]. In the order of layers.
  torch::Tensor run(int64_t i, const LayerWeights& weights, const torch::Tensor& x);

 private:
  struct Heads {
    torch::Tensor q, k, v;  // [n_rows, heads, length, dim], q and k rotated
  };
  Heads project(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor attend(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor retain(int64_t i, const LayerWeights& weights, const torch::Tensor& a, bool gated);
  torch::Tensor attend_window(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor attend_shared(int64_t i, const LayerWeights& weights, const torch::Tensor& a,
                              const torch::Tensor& x);
  torch::Tensor attend_decayed(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor subtract_parts(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor subtract_heads(int64_t i, const LayerWeights& weights, const torch::Tensor& a);
  torch::Tensor turn(int64_t i, const torch::Tensor& x) const;
  torch::Tensor log_decays(const LayerWeights& weights, const torch::Tensor& a, bool gated) const;

  const ModelConfig& config_;
  const int64_t length_;
  const Attention& attention_;
  const Observer& before_rope_;
  RopeTables rope_, self_rope_;
  torch::Tensor shared_k_, shared_v_;
};

}  // namespace longhaul::trainer
