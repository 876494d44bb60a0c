// The weights of a model, bound by name, type and shape from a GGUF file.
#pragma once

#include <variant>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "model/ffn/experts.h"
#include "model/ffn/gated.h"
#include "model/mixers/attention.h"
#include "model/mixers/mamba.h"
#include "model/mixers/memory.h"
#include "model/mixers/retention.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

using MixerWeights = std::variant<AttentionWeights, RetentionWeights, MambaWeights,
                                  MemoryWeights>;               // as MixerSpec
using FfnWeights = std::variant<GatedWeights, ExpertsWeights>;  // as FfnSpec

struct LayerWeights {
  Floats mixer_norm;       // [d_model]
  Floats mixer_norm_bias;  // [d_model], empty but of LayerNorms; so for the others
  Floats mixer_post_norm;  // [d_model], empty without post norms
  Floats ffn_norm;         // [d_model]
  Floats ffn_norm_bias;
  Floats ffn_post_norm;  // [d_model], empty without post norms
  MixerWeights mixer;
  FfnWeights ffn;
};

struct ModelWeights {
  ModelWeights() = default;
  // Of the plan's kinds of layers, without numbers.
  explicit ModelWeights(const ModelPlan& plan);

  EmbeddingPtr embedding;  // [vocab_size, d_model]
  std::vector<LayerWeights> layers;
  Floats output_norm;  // [d_model]
  Floats output_norm_bias;
  MatrixPtr output;     // [vocab_size, d_model]
  Floats rope_factors;  // [rope.dim / 2], empty without
  size_t n_parameters = 0;
};

// Visits every tensor once, in the order of a file. `weights` are of the plan's kinds.
void visit_tensors(const ModelPlan& plan, ModelWeights& weights, TensorVisitor& visitor);

// A copy for the host.
std::vector<float> numbers_of(const Floats& floats, Backend& backend);

// Binds every tensor of the file. A missing tensor, one of another shape or type, or one that the
// plan does not name is an Error that names it.
Result<ModelWeights> bind_weights(const GgufFile& file, const ModelPlan& plan, Backend& backend);

}  // namespace longhaul
