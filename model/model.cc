#include "model/model.h"

#include <algorithm>

#include "base/check.h"
#include "model/cpu/backend.h"
#include "model/model_impl.h"

namespace longhaul {

Model::Impl::Impl(Backend& backend, ModelPlan model_plan, ModelWeights model_weights,
                  size_t max_rows)
    : plan(std::move(model_plan)),
      weights(std::move(model_weights)),
      pass(backend, plan, numbers_of(weights.rope_factors, backend), max_rows),
      attention(plan, backend, max_rows),
      retention(plan, backend, max_rows),
      mamba(plan, backend, max_rows),
      memory(plan, backend, max_rows),
      gated(plan, backend, max_rows),
      experts(plan, backend, max_rows) {
  logit_rows.reserve(max_rows);
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::load(const GgufFile& file, Backend& backend, size_t max_rows,
                                           const PlanOptions& options) {
  LH_CHECK(max_rows > 0);
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_plan(file, options));
  LH_RETURN_IF_ERROR(backend.check(plan));
  LH_ASSIGN_OR_RETURN(ModelWeights weights, bind_weights(file, plan, backend));
  return std::unique_ptr<Model>(
      new Model(std::make_unique<Impl>(backend, std::move(plan), std::move(weights), max_rows)));
}

Result<std::unique_ptr<Model>> Model::load(const GgufFile& file, ThreadPool& pool,
                                           size_t max_rows) {
  auto backend = std::make_unique<CpuBackend>(pool);
  LH_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, load(file, *backend, max_rows));
  model->impl_->own_backend = std::move(backend);
  return model;
}

size_t Model::buffer_bytes(const ModelPlan& plan, size_t max_rows) {
  const AttentionSpec* attention = main_attention(plan);
  const size_t out_dim = attention == nullptr ? 0 : attention->out_dim();
  const size_t widest = std::max({plan.d_model, out_dim, main_d_ff(plan)});
  return max_rows *
         (Pass::row_bytes(plan) + Attention::row_bytes(plan) + Retention::row_bytes(plan) +
          Mamba::row_bytes(plan) + MemoryUnit::row_bytes(plan) + Gated::row_bytes(plan) +
          Experts::row_bytes(plan) + 2 * widest);  // rounded to 8 bits
}

const ModelPlan& Model::plan() const { return impl_->plan; }
Backend& Model::backend() const { return impl_->pass.backend; }
const ModelWeights& Model::weights() const { return impl_->weights; }
size_t Model::max_rows() const { return impl_->pass.max_rows; }

RopeAngles Model::rope_angles() const {
  const AttentionSpec* attention = main_attention(impl_->plan);
  if (attention == nullptr || !attention->rope) return {};
  const size_t index = *attention->rope;
  const RopeTable& table = impl_->pass.rope(index);
  const auto frequencies = table.frequencies();
  return {.frequencies = {frequencies.begin(), frequencies.end()},
          .magnitude = table.magnitude(),
          .layout = impl_->plan.ropes[index].layout,
          .theta = impl_->plan.ropes[index].theta};
}

}  // namespace longhaul
