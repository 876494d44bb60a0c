#include "model/plan.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/kv_tile.h"
#include "kernels/retention.h"
#include "kernels/scan.h"
#include "model/common_keys.h"
#include "model/key_reader.h"
#include "model/mixers/attention.h"
#include "model/mixers/mamba.h"
#include "model/mixers/retention.h"

namespace longhaul {
namespace {

constexpr size_t kMaxRetentionDim = 1024;

bool writes_state(const LayerSpec& layer) {
  if (std::holds_alternative<MemorySpec>(layer.mixer)) return false;
  const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
  return attention == nullptr || attention->writes;
}

bool same_shape(const SlotSpec& a, const SlotSpec& b) {
  if (a.index() != b.index()) return false;
  if (const auto* paged = std::get_if<PagedSlot>(&a)) {
    const auto& other = std::get<PagedSlot>(b);
    return paged->n_kv_heads == other.n_kv_heads && paged->key_dim == other.key_dim &&
           paged->value_dim == other.value_dim && paged->window == other.window;
  }
  return std::get<RecurrentSlot>(a).n_floats == std::get<RecurrentSlot>(b).n_floats;
}

// Adds a layer's state to the slot of its shape, and says where it went.
SlotLayer add_to_slot(std::vector<SlotSpec>& slots, const SlotSpec& wanted) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!same_shape(slots[i], wanted)) continue;
    return {i, std::visit([](auto& slot) { return slot.n_layers++; }, slots[i])};
  }
  slots.push_back(wanted);
  std::visit([](auto& slot) { slot.n_layers = 1; }, slots.back());
  return {slots.size() - 1, 0};
}

// Gives every layer that writes a state its place; slots without a window come first, so that what
// selectors choose from is slot 0, recurrent ones last. Layers that write nothing read what the
// attention of their window wrote last.
void assign_slots(ModelPlan& plan) {
  for (const bool windowed : {false, true}) {
    SlotLayer last;
    for (LayerSpec& layer : plan.layers) {
      auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
      if (attention == nullptr || (attention->window != 0) != windowed) continue;
      if (attention->writes) last = add_to_slot(plan.slots, slot_of(*attention));
      attention->kv = last;
    }
  }
  for (LayerSpec& layer : plan.layers) {
    if (auto* retention = std::get_if<RetentionSpec>(&layer.mixer))
      retention->state = add_to_slot(plan.slots, slot_of(*retention));
    if (auto* mamba = std::get_if<MambaSpec>(&layer.mixer))
      mamba->state = add_to_slot(plan.slots, slot_of(*mamba));
  }
}

Status check_mixer(const std::string& path, const AttentionSpec& spec) {
  for (const size_t dim : {spec.key_dim, spec.value_dim}) {
    if (dim > 0 && dim % 32 == 0 && dim <= kMaxHeadDim) continue;
    return unsupported("{}: head size {}: supported are multiples of 32 up to {}", path, dim,
                       kMaxHeadDim);
  }
  if (spec.pairs != HeadPairs::kNone && spec.n_group() % 2 != 0) {
    return bad_input("{}: {} heads to {} KV heads: expected pairs of heads that share a KV head",
                     path, spec.n_heads, spec.n_kv_heads);
  }
  return {};
}

Status check_mixer(const std::string& path, const RetentionSpec& spec) {
  for (const size_t dim : {spec.key_dim, spec.value_dim}) {
    if (dim > 0 && dim % kRetentionStep == 0 && dim <= kMaxRetentionDim) continue;
    return unsupported("{}: head size {}: supported of retention are multiples of {} up to {}",
                       path, dim, kRetentionStep, kMaxRetentionDim);
  }
  return {};
}

Status check_mixer(const std::string& path, const MambaSpec& spec) {
  if (spec.d_inner % kMambaStep != 0)
    return unsupported("{}: {} channels of Mamba: supported are multiples of {}", path,
                       spec.d_inner, kMambaStep);
  if (spec.d_state % kScanStep != 0)
    return unsupported("{}: {} states of a channel of Mamba: supported are multiples of {}", path,
                       spec.d_state, kScanStep);
  if (spec.dt_rank % 32 != 0)
    return unsupported("{}: rank {} of Mamba's steps: supported are multiples of 32", path,
                       spec.dt_rank);
  return {};
}

Status check_mixer(const std::string&, const MemorySpec&) { return {}; }

// What holds for any file is the architecture's promise, what depends on the file is bad input.
Status check_plan(const std::string& path, const ModelPlan& plan) {
  LH_CHECK(!plan.layers.empty());
  bool narrowed = false;
  const SlotLayer* chosen = nullptr;  // what the last layer that chose blocks chose from
  for (const LayerSpec& layer : plan.layers) {
    LH_RETURN_IF_ERROR(
        std::visit([&](const auto& spec) { return check_mixer(path, spec); }, layer.mixer));
    // Once rows have left, what they would write is gone.
    LH_CHECK(!narrowed || (!writes_state(layer) && layer.rows == RowSet::kWithLogits));
    narrowed |= layer.rows == RowSet::kWithLogits;
    const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
    if (attention == nullptr) {
      // What keeps a state reads every row.
      LH_CHECK(layer.rows == RowSet::kAll || !writes_state(layer));
      continue;
    }
    LH_CHECK(attention->kv.slot < plan.slots.size());
    LH_CHECK(!attention->rope || *attention->rope < plan.ropes.size());
    if (attention->window > 0) continue;
    if (attention->chooses) chosen = &attention->kv;
    LH_CHECK(chosen != nullptr && chosen->slot == attention->kv.slot &&
             chosen->layer == attention->kv.layer);
  }
  return {};
}

// The rows of the embedding, or what a file without tensors says.
Result<size_t> read_vocab_size(const GgufFile& file, KeyReader& keys) {
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return keys.count_or("vocab_size", size_t{1} << 31, 0);
  return embedding->shape.size() == 2 ? static_cast<size_t>(embedding->shape[1]) : 0;
}

const AttentionSpec* attention_of(const LayerSpec& layer) {
  return std::get_if<AttentionSpec>(&layer.mixer);
}

// The layer of main_attention(), or else the first.
const LayerSpec& main_layer(const ModelPlan& plan) {
  const LayerSpec* main = nullptr;
  for (const LayerSpec& layer : plan.layers) {
    if (attention_of(layer) == nullptr) continue;
    if (attention_of(layer)->window == 0) return layer;
    if (main == nullptr) main = &layer;
  }
  return main == nullptr ? plan.layers.front() : *main;
}

}  // namespace

Result<ModelPlan> read_plan(const GgufFile& file, const PlanOptions& options) {
  LH_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  const Architecture* architecture = find_architecture(name);
  if (architecture == nullptr) {
    std::vector<std::string_view> names;
    for (const Architecture* known : all_architectures()) names.push_back(known->name);
    return unsupported("{}: architecture '{}' is not supported; supported: {}", file.path(), name,
                       fmt::join(names, ", "));
  }
  KeyReader keys(file, name);
  LH_ASSIGN_OR_RETURN(ModelPlan plan, architecture->plan(keys));
  plan.architecture = name;
  LH_ASSIGN_OR_RETURN(const std::string_view title, file.get_string_or("general.name", ""));
  plan.name = title;
  LH_ASSIGN_OR_RETURN(plan.vocab_size, read_vocab_size(file, keys));
  if (options.block_causal) {
    for_each_attention(plan, [&](size_t, AttentionSpec& spec) {
      if (spec.window == 0) see_two_blocks(spec, plan.context_length);
    });
  }
  assign_slots(plan);
  LH_RETURN_IF_ERROR(keys.refuse_unread());
  LH_RETURN_IF_ERROR(check_plan(file.path(), plan));
  return plan;
}

const AttentionSpec* main_attention(const ModelPlan& plan) {
  return attention_of(main_layer(plan));
}

bool sparse_steps_are_clean(const ModelPlan& plan) {
  bool selected = false;
  for (const LayerSpec& layer : plan.layers) {
    if (selected && writes_state(layer)) return false;
    const AttentionSpec* attention = attention_of(layer);
    selected |= attention != nullptr && attention->window == 0;
  }
  return true;
}

size_t memory_width(const ModelPlan& plan) {
  size_t width = 0;
  for (const LayerSpec& layer : plan.layers) {
    if (const auto* unit = std::get_if<MemorySpec>(&layer.mixer))
      width = std::max(width, unit->d_inner);
  }
  return width;
}

size_t main_d_ff(const ModelPlan& plan) {
  const FfnSpec& ffn = main_layer(plan).ffn;
  if (const auto* experts = std::get_if<ExpertsSpec>(&ffn))
    return experts->n_active * experts->each.d_ff;
  return std::get<GatedSpec>(ffn).d_ff;
}

}  // namespace longhaul
