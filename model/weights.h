// The weights of a model, bound by name, type and shape from a GGUF file.
#pragma once

#include <variant>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/page_region.h"
#include "base/result.h"
#include "io/gguf.h"
#include "model/ffn/experts.h"
#include "model/ffn/gated.h"
#include "model/mixers/attention.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"
#include "parallel/thread_pool.h"

namespace longhaul {

using MixerWeights = std::variant<AttentionWeights>;            // as MixerSpec
using FfnWeights = std::variant<GatedWeights, ExpertsWeights>;  // as FfnSpec

struct LayerWeights {
  AlignedBuffer<float> mixer_norm;       // [d_model]
  AlignedBuffer<float> mixer_post_norm;  // [d_model], empty without post norms
  AlignedBuffer<float> ffn_norm;         // [d_model]
  AlignedBuffer<float> ffn_post_norm;    // [d_model], empty without post norms
  MixerWeights mixer;
  FfnWeights ffn;
};

struct ModelWeights {
  ModelWeights() = default;
  // Of the plan's kinds of layers, without numbers.
  explicit ModelWeights(const ModelPlan& plan);

  PageRegion memory;    // of the packed matrices
  TableView embedding;  // [vocab_size, d_model]
  std::vector<LayerWeights> layers;
  AlignedBuffer<float> output_norm;   // [d_model]
  PackedMatrix output;                // [vocab_size, d_model]
  AlignedBuffer<float> rope_factors;  // [rope.dim / 2], empty without
  size_t n_parameters = 0;
};

// Visits every tensor once, in the order of a file. `weights` are of the plan's kinds.
void visit_tensors(const ModelPlan& plan, ModelWeights& weights, TensorVisitor& visitor);

// Binds every tensor of the file. A missing tensor, one of another shape or type, or one that the
// plan does not name is an Error that names it.
Result<ModelWeights> bind_weights(const GgufFile& file, const ModelPlan& plan, ThreadPool& pool);

}  // namespace longhaul
