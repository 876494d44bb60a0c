// The insides of Model: plan, weights, and what runs the parts of a layer.
#pragma once

#include "model/model.h"
#include "model/pass.h"
#include "model/weights.h"

namespace longhaul {

struct Model::Impl {
  Impl(ThreadPool& pool, ModelPlan model_plan, ModelWeights model_weights, size_t max_rows);

  void mix(const LayerSpec& layer, const MixerWeights& w);
  void feed_forward(const LayerSpec& layer, const FfnWeights& w);
  void project_logits(MatrixView<float> logits);

  ModelPlan plan;
  ModelWeights weights;
  Pass pass;
  Attention attention;
  Gated gated;
  Experts experts;
};

}  // namespace longhaul
