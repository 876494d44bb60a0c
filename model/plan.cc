#include "model/plan.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/kv_tile.h"
#include "model/key_reader.h"
#include "model/mixers/attention.h"

namespace longhaul {
namespace {

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
// selectors choose from is slot 0.
void assign_slots(ModelPlan& plan) {
  for (const bool windowed : {false, true}) {
    for (LayerSpec& layer : plan.layers) {
      auto& attention = std::get<AttentionSpec>(layer.mixer);
      if (attention.writes && (attention.window != 0) == windowed)
        attention.kv = add_to_slot(plan.slots, slot_of(attention));
    }
  }
}

Status check_attention(const std::string& path, const AttentionSpec& spec) {
  for (const size_t dim : {spec.key_dim, spec.value_dim}) {
    if (dim > 0 && dim % 32 == 0 && dim <= kMaxHeadDim) continue;
    return unsupported("{}: head size {}: supported are multiples of 32 up to {}", path, dim,
                       kMaxHeadDim);
  }
  return {};
}

// What holds for any file is the architecture's promise, what depends on the file is bad input.
Status check_plan(const std::string& path, const ModelPlan& plan) {
  LH_CHECK(!plan.layers.empty());
  bool narrowed = false;
  for (const LayerSpec& layer : plan.layers) {
    const auto& attention = std::get<AttentionSpec>(layer.mixer);
    LH_RETURN_IF_ERROR(check_attention(path, attention));
    LH_CHECK(attention.kv.slot < plan.slots.size());
    LH_CHECK(!attention.rope || *attention.rope < plan.ropes.size());
    // Once rows have left, what they would write is gone.
    LH_CHECK(!narrowed || (!attention.writes && layer.rows == RowSet::kWithLogits));
    narrowed |= layer.rows == RowSet::kWithLogits;
  }
  return {};
}

// The rows of the embedding, or what a file without tensors says.
Result<size_t> read_vocab_size(const GgufFile& file, KeyReader& keys) {
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return keys.u64_or("vocab_size", 0);
  return embedding->shape.size() == 2 ? static_cast<size_t>(embedding->shape[1]) : 0;
}

const LayerSpec& main_layer(const ModelPlan& plan) {
  const auto full = std::find_if(plan.layers.begin(), plan.layers.end(), [](const LayerSpec& l) {
    return std::get<AttentionSpec>(l.mixer).window == 0;
  });
  return full == plan.layers.end() ? plan.layers.front() : *full;
}

}  // namespace

Result<ModelPlan> read_plan(const GgufFile& file) {
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
  assign_slots(plan);
  LH_RETURN_IF_ERROR(keys.refuse_unread());
  LH_RETURN_IF_ERROR(check_plan(file.path(), plan));
  return plan;
}

const AttentionSpec& main_attention(const ModelPlan& plan) {
  return std::get<AttentionSpec>(main_layer(plan).mixer);
}

size_t main_d_ff(const ModelPlan& plan) {
  const FfnSpec& ffn = main_layer(plan).ffn;
  if (const auto* experts = std::get_if<ExpertsSpec>(&ffn))
    return experts->n_active * experts->each.d_ff;
  return std::get<GatedSpec>(ffn).d_ff;
}

}  // namespace longhaul
