// The insides of Model: plan, weights, and what runs the parts of a layer.
#pragma once

#include "model/model.h"
#include "model/pass.h"
#include "model/weights.h"

namespace longhaul {

struct Model::Impl {
  Impl(Backend& backend, ModelPlan model_plan, ModelWeights model_weights, size_t max_rows);

  void run_layers(MatrixView<float> logits);
  void mix(const LayerSpec& layer, const MixerWeights& w);
  void feed_forward(const LayerSpec& layer, const FfnWeights& w);
  size_t place_logits();
  void project_logits(MatrixView<float> logits);
  void read_states();

  std::unique_ptr<Backend> own_backend;  // where the model was given none
  ModelPlan plan;
  ModelWeights weights;
  Pass pass;
  Attention attention;
  Retention retention;
  Mamba mamba;
  MemoryUnit memory;
  Gated gated;
  Experts experts;
  std::vector<uint32_t> logit_rows;  // of the pass
};

}  // namespace longhaul
