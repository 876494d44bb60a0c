// The forward pass: one page from tokens to logits. model/mixers and model/ffn hold the parts.
#include "base/check.h"
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
  Backend& backend = pass.backend;
  backend.begin(pass);
  const size_t n_logits = m.place_logits();
  LH_CHECK(logits.n_rows >= n_logits && (n_logits == 0 || logits.n_cols == m.plan.vocab_size));
  const MatrixView<float> staged = backend.staging(logits.rows(0, n_logits));
  backend.run(pass, [&] { m.run_layers(staged); });
  if (n_logits > 0) backend.read(staged, logits.data);
  m.read_states();
  pass.lap(&PassTimes::rest_s);
}

void Model::Impl::run_layers(MatrixView<float> logits) {
  pass.embed(*weights.embedding);
  for (size_t i = 0; i < plan.layers.size() && pass.n_rows > 0; ++i) {
    const LayerSpec& layer = plan.layers[i];
    const LayerWeights& w = weights.layers[i];
    pass.norm(w.mixer_norm, w.mixer_norm_bias);
    mix(layer, w.mixer);  // may leave fewer rows, or none
    pass.add_product(w.mixer_post_norm);
    if (pass.n_rows == 0) break;
    pass.norm(w.ffn_norm, w.ffn_norm_bias);
    feed_forward(layer, w.ffn);
    pass.add_product(w.ffn_post_norm);
  }
  if (logits.n_rows > 0) project_logits(logits);
}

void Model::Impl::mix(const LayerSpec& layer, const MixerWeights& w) {
  if (const auto* spec = std::get_if<AttentionSpec>(&layer.mixer)) {
    attention.run(pass, *spec, std::get<AttentionWeights>(w), layer.rows);
  } else if (const auto* retained = std::get_if<RetentionSpec>(&layer.mixer)) {
    retention.run(pass, *retained, std::get<RetentionWeights>(w));
  } else if (const auto* scanned = std::get_if<MambaSpec>(&layer.mixer)) {
    mamba.run(pass, *scanned, std::get<MambaWeights>(w));
  } else {
    memory.run(pass, std::get<MemorySpec>(layer.mixer), std::get<MemoryWeights>(w));
  }
}

void Model::Impl::feed_forward(const LayerSpec& layer, const FfnWeights& w) {
  if (const auto* spec = std::get_if<GatedSpec>(&layer.ffn)) {
    gated.run(pass, *spec, std::get<GatedWeights>(w));
  } else {
    experts.run(pass, std::get<ExpertsSpec>(layer.ffn), std::get<ExpertsWeights>(w));
  }
}

// project_logits() leaves its rows in `normed`.
void Model::Impl::read_states() {
  for (const Step* step : pass.steps) {
    if (step->states_out == nullptr || step->n_logits == 0) continue;
    const size_t n_rows = step->first_logits + step->n_logits;
    pass.backend.read(
        pass.normed.rows(n_rows, plan.d_model).rows(step->first_logits, step->n_logits),
        step->states_out);
  }
}

// Sets where each step's logits go; returns how many rows they are.
size_t Model::Impl::place_logits() {
  size_t n_wanted = 0;
  for (Step* step : pass.steps) {
    step->first_logits = n_wanted;
    n_wanted += step->n_logits;
  }
  return n_wanted;
}

void Model::Impl::project_logits(MatrixView<float> logits) {
  MatrixView<const float> rows = pass.x_rows();
  const MatrixView<float> normed = pass.normed.rows(logits.n_rows, plan.d_model);
  if (rows.n_rows != logits.n_rows) {
    logit_rows.clear();
    for (size_t s = 0; s < pass.steps.size(); ++s) {
      const size_t end = pass.rows[s].first + pass.rows[s].n;
      for (size_t r = end - pass.steps[s]->n_logits; r < end; ++r)
        logit_rows.push_back(static_cast<uint32_t>(r));
    }
    pass.backend.gather(rows, logit_rows, normed);
    rows = normed;
  }
  if (plan.has_layer_norms) {
    pass.backend.layer_norm(rows, weights.output_norm, weights.output_norm_bias, plan.norm_eps,
                            normed);
  } else {
    pass.backend.norm(rows, weights.output_norm, plan.norm_eps, normed);
  }
  pass.prepare_input(normed);
  const Product product = {weights.output.get(), logits};
  pass.multiply({&product, 1});
}

}  // namespace longhaul
