// The forward pass: one page from tokens to logits. model/mixers and model/ffn hold the parts.
#include "base/check.h"
#include "kernels/ops.h"
#include "model/model_impl.h"

namespace longhaul {

void Model::run(std::span<Step> steps, MatrixView<float> logits, PassTimes* times) {
  Impl& m = *impl_;
  Pass& pass = m.pass;
  pass.begin(steps, times);
  if (pass.steps.empty()) return;
  if (times != nullptr) {
    ++times->n_passes;
    times->n_tokens += pass.n_rows;
  }
  pass.embed(m.weights.embedding);
  m.attention.begin(pass);
  for (size_t i = 0; i < m.plan.layers.size() && pass.n_rows > 0; ++i) {
    const LayerSpec& layer = m.plan.layers[i];
    const LayerWeights& w = m.weights.layers[i];
    pass.norm(w.mixer_norm);
    m.mix(layer, w.mixer);  // may leave fewer rows, or none
    pass.add_product(w.mixer_post_norm);
    pass.norm(w.ffn_norm);
    m.feed_forward(layer, w.ffn);
    pass.add_product(w.ffn_post_norm);
  }
  m.project_logits(logits);
  pass.timer.lap(&PassTimes::rest_s);
}

void Model::Impl::mix(const LayerSpec& layer, const MixerWeights& w) {
  attention.run(pass, std::get<AttentionSpec>(layer.mixer), std::get<AttentionWeights>(w),
                layer.rows);
}

void Model::Impl::feed_forward(const LayerSpec& layer, const FfnWeights& w) {
  if (pass.n_rows == 0) return;
  if (const auto* spec = std::get_if<GatedSpec>(&layer.ffn)) {
    gated.run(pass, *spec, std::get<GatedWeights>(w));
  } else {
    experts.run(pass, std::get<ExpertsSpec>(layer.ffn), std::get<ExpertsWeights>(w));
  }
}

void Model::Impl::project_logits(MatrixView<float> logits) {
  const size_t d = plan.d_model;
  size_t n_wanted = 0;
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    Step& step = *pass.steps[s];
    step.first_logits = n_wanted;
    const size_t first = pass.rows[s].first + pass.rows[s].n - step.n_logits;
    for (size_t i = 0; i < step.n_logits; ++i, ++n_wanted) {
      rms_norm(pass.x.data() + (first + i) * d, weights.output_norm.data(), plan.norm_eps, d,
               pass.normed.data() + n_wanted * d);
    }
  }
  if (n_wanted == 0) return;
  LH_CHECK(logits.n_rows >= n_wanted && logits.n_cols == plan.vocab_size);
  pass.prepare_input(MatrixView<const float>(pass.normed.data(), n_wanted, d));
  const MatmulTask task = {&weights.output, logits.rows(0, n_wanted), nullptr};
  pass.multiply({&task, 1});
}

}  // namespace longhaul
