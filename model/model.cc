#include "model/model.h"

#include <algorithm>

#include "model/model_impl.h"

namespace longhaul {

Model::Impl::Impl(ThreadPool& thread_pool, ModelConfig model_config, ModelWeights model_weights,
                  size_t n_max_rows)
    : pool(thread_pool),
      config(std::move(model_config)),
      weights(std::move(model_weights)),
      rope(config.rope, weights.rope_factors.span()),
      max_rows(n_max_rows),
      x(max_rows * config.d_model),
      normed(max_rows * config.d_model),
      product(max_rows * config.d_model),
      q(max_rows * config.q_dim()),
      k(max_rows * config.kv_dim()),
      v(max_rows * config.kv_dim()),
      attention_out(max_rows * config.q_dim()),
      gate(max_rows * config.d_ff),
      up(max_rows * config.d_ff),
      cos(max_rows * rope.n_frequencies()),
      sin(max_rows * rope.n_frequencies()),
      worker_workspaces(pool.n_threads()) {
  rows.reserve(max_rows);
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::load(const GgufFile& file, ThreadPool& pool,
                                           size_t max_rows) {
  LH_CHECK(max_rows > 0);
  LH_ASSIGN_OR_RETURN(ModelConfig config, read_model_config(file));
  LH_ASSIGN_OR_RETURN(ModelWeights weights, bind_weights(file, config, pool));
  return std::unique_ptr<Model>(
      new Model(std::make_unique<Impl>(pool, std::move(config), std::move(weights), max_rows)));
}

size_t Model::buffer_bytes(const ModelConfig& config, size_t max_rows) {
  const size_t widest = std::max({config.d_model, config.q_dim(), config.d_ff});
  const size_t row_floats = 3 * config.d_model + 2 * config.q_dim() + 2 * config.kv_dim() +
                            2 * config.d_ff + config.rope.dim;
  return max_rows * (row_floats * sizeof(float) + 2 * widest);  // widest: rounded to 8 bits
}

const ModelConfig& Model::config() const { return impl_->config; }
const ModelWeights& Model::weights() const { return impl_->weights; }
size_t Model::max_rows() const { return impl_->max_rows; }

RopeAngles Model::rope_angles() const {
  const auto frequencies = impl_->rope.frequencies();
  return {.frequencies = {frequencies.begin(), frequencies.end()},
          .magnitude = impl_->rope.magnitude(),
          .layout = impl_->config.rope.layout,
          .theta = impl_->config.rope.theta};
}

}  // namespace longhaul
