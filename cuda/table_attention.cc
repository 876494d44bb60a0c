// Attention through the table, and what a model and a step must be for it.
#include <new>

#include "base/check.h"
#include "base/rounding.h"
#include "cuda/table.h"
#include "model/step.h"

namespace longhaul::cuda {
namespace {

bool is_supported(size_t dim) { return dim == 64 || dim == 96 || dim == 128 || dim == 256; }

Status check_attention(const AttentionSpec& spec) {
  if (!is_supported(spec.key_dim) || spec.value_dim != spec.key_dim) {
    return unsupported(
        "device cuda: heads of {} dimensions (values {}): expected 64, 96, 128 or 256; --device "
        "cpu works",
        spec.key_dim, spec.value_dim);
  }
  if (spec.pairs != HeadPairs::kNone || !spec.chooses || spec.xpos_base > 0 || spec.window_step > 0)
    return unsupported(
        "device cuda: pairs of heads, shared choices, xPos or blockwise attention; --device cpu "
        "works");
  if (spec.n_group() > kTileQueries) {
    return unsupported(
        "device cuda: {} query heads per KV head: expected at most {}; --device cpu works",
        spec.n_group(), kTileQueries);
  }
  return {};
}

}  // namespace

Status CudaBackend::check(const ModelPlan& plan) const {
  for (const SlotSpec& slot : plan.slots) {
    if (!std::holds_alternative<PagedSlot>(slot))
      return unsupported("device cuda: recurrent layers; --device cpu works");
  }
  for (const LayerSpec& layer : plan.layers) {
    const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
    if (spec == nullptr) return unsupported("device cuda: a mixer without attention");
    LH_RETURN_IF_ERROR(check_attention(*spec));
    if (!std::holds_alternative<GatedSpec>(layer.ffn))
      return unsupported("device cuda: mixtures of experts; --device cpu works");
  }
  return {};
}

Status CudaBackend::check(const Step& step) const {
  const CacheConfig& config = step.state->paged(0).config();
  if (config.k_type != KvType::kF16 || config.v_type != KvType::kF16)
    return unsupported("device cuda: keys and values in q8_0: expected --kv-type f16");
  if (config.window == 0 && config.block_size % kTile != 0) {
    return unsupported("device cuda: blocks of {} tokens: expected a multiple of {}",
                       config.block_size, kTile);
  }
  if (step.observer != nullptr)
    return unsupported("device cuda: selectors cannot be measured there; --device cpu can");
  if (step.selector == nullptr) return {};
  if (step.tokens.size() > 1)
    return unsupported("device cuda: partial rectification: expected --rectify dense");
  if (step.selector->name != "minmax" && step.selector->name != "window")
    return unsupported("device cuda: selector {}: expected minmax or window", step.selector->name);
  if (step.attention->gate_threshold > 0)
    return unsupported("device cuda: selection by a threshold: expected a share or a budget");
  return {};
}

KvLayer CudaBackend::layer_of(const KvSequence& kv, size_t index) {
  const CacheConfig& config = kv.config();
  const size_t last = config.n_kv_heads - 1;  // the same distance from head to head
  const auto stride = [&](const std::byte* first, const std::byte* of_last) {
    return last == 0 ? size_t{0} : static_cast<size_t>(of_last - first) / last;
  };
  const KvView view = kv.view(index, 0);
  KvLayer layer;
  layer.tiles = const_cast<std::byte*>(view.base);
  layer.tile_head_stride = stride(view.base, kv.view(index, last).base);
  layer.tile_page_stride = view.page_stride;
  for (size_t i = 0; i < kv.n_summaries(); ++i) {
    const SummaryView bounds = kv.summary(index, 0, i);
    if (bounds.name != "bounds") continue;
    layer.bounds = const_cast<std::byte*>(bounds.base);
    layer.bounds_head_stride = stride(bounds.base, kv.summary(index, last, i).base);
    layer.bounds_page_stride = bounds.page_stride;
    LH_CHECK(bounds.page_stride >= page_bounds_bytes(static_cast<uint32_t>(config.key_dim)));
  }
  layer.n_kv_heads = static_cast<uint32_t>(config.n_kv_heads);
  layer.dim = static_cast<uint32_t>(config.key_dim);
  layer.block_size = static_cast<uint32_t>(config.block_size);
  layer.window = static_cast<uint32_t>(config.window);
  return layer;
}

// All sequences of a pass lie in the same pages.
KvLayer CudaBackend::layer_of(const ::longhaul::Pass& pass, const AttentionSpec& spec) {
  return layer_of(pass.steps.front()->state->paged(spec.kv.slot), spec.kv.layer);
}

void CudaBackend::store(const ::longhaul::Pass& pass, const AttentionSpec& spec,
                        MatrixView<const float> k, MatrixView<const float> v) {
  settle();
  cuda::store(stream_, pass_table_->pass(spec.kv.slot, is_narrowed_), layer_of(pass, spec), k.data,
              k.stride, v.data, v.stride);
}

void CudaBackend::attend(::longhaul::Pass& pass, const AttentionSpec& spec,
                         MatrixView<const float> q, MatrixView<float> out) {
  settle();
  const Pass rows = pass_table_->pass(spec.kv.slot, is_narrowed_);
  const KvLayer layer = layer_of(pass, spec);
  const auto n_group = static_cast<uint32_t>(spec.n_group());
  const bool chooses = spec.window == 0 && pass_table_->any_sparse();
  pass.lap(&PassTimes::rest_s);
  if (chooses) select(stream_, rows, layer, q.data, q.stride, n_group, *select_workspace_);
  pass.lap(&PassTimes::selection_s);
  cuda::attend(stream_, rows, layer, {q.data, q.stride, n_group, spec.scale, out.data, out.stride},
               *attend_workspace_, chooses ? &*select_workspace_ : nullptr);
  pass.lap(&PassTimes::attention_s);
}

// Tiles wholly behind `first`; what is left of the tile before them keeps the numbers it has.
void CudaBackend::fill_random(KvSequence& kv, size_t first, size_t count, uint64_t seed) {
  settle();
  const auto as_u32 = [](size_t n) { return static_cast<uint32_t>(n); };
  const CacheConfig& config = kv.config();
  const StepRows step = {.n_rows = as_u32(count), .first_pos = as_u32(first)};
  auto steps = DeviceBuffer<StepRows>::create(1);
  auto row_steps = DeviceBuffer<uint32_t>::create(count);
  auto pages = DeviceBuffer<uint32_t>::create(kv.pages().size());
  if (!steps || !row_steps || !pages) throw std::bad_alloc();
  steps->upload({&step, 1}, stream_);
  pages->upload(kv.pages(), stream_);
  LH_CUDA(cudaMemsetAsync(row_steps->data(), 0, count * sizeof(uint32_t), stream_));
  const Pass rows = {.steps = steps->data(),
                     .row_steps = row_steps->data(),
                     .pages = pages->data(),
                     .n_steps = 1,
                     .n_rows = as_u32(count),
                     .max_context = as_u32(first + count)};
  for (size_t i = 0; i < config.n_layers; ++i) {
    const KvLayer layer = layer_of(kv, i);
    fill_tiles(stream_, layer, pages->data(), as_u32(ceil_div(first, kTile)),
               as_u32(ceil_div(first + count, kTile)), seed + (i << 32U));
    if (layer.bounds != nullptr) launch_bounds(stream_, rows, layer);
    kv.stored(i, first, first + count);
  }
  stream_.wait();
}

}  // namespace longhaul::cuda
