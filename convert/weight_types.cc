#include "convert/weight_types.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace longhaul {
namespace {

using T = TensorType;
using L = BetterLayers;

constexpr WeightTypes kWeightTypes[] = {
    {"F32", 0, T::kF32, T::kF32, T::kF32, L::kNone},
    {"F16", 1, T::kF16, T::kF16, T::kF16, L::kNone},
    {"BF16", 32, T::kBF16, T::kBF16, T::kBF16, L::kNone},
    {"Q8_0", 7, T::kQ8_0, T::kQ8_0, T::kQ8_0, L::kNone},
    {"Q6_K", 18, T::kQ6_K, T::kQ6_K, T::kQ6_K, L::kNone},
    {"Q5_K_M", 17, T::kQ5_K, T::kQ6_K, T::kQ6_K, L::kSpread},
    {"Q5_K_S", 16, T::kQ5_K, T::kQ5_K, T::kQ6_K, L::kNone},
    {"Q5_1", 9, T::kQ5_1, T::kQ5_1, T::kQ6_K, L::kNone},
    {"Q5_0", 8, T::kQ5_0, T::kQ5_0, T::kQ6_K, L::kNone},
    {"Q4_K_M", 15, T::kQ4_K, T::kQ6_K, T::kQ6_K, L::kSpread},
    {"Q4_K_S", 14, T::kQ4_K, T::kQ5_K, T::kQ6_K, L::kFirst},
    {"IQ4_NL", 25, T::kIQ4_NL, T::kQ5_K, T::kQ6_K, L::kFirst},
    {"Q4_1", 3, T::kQ4_1, T::kQ4_1, T::kQ6_K, L::kNone},
    {"Q4_0", 2, T::kQ4_0, T::kQ4_0, T::kQ6_K, L::kNone},
};

bool is_better_layer(BetterLayers layers, size_t layer, size_t n_layers) {
  const size_t eighth = n_layers / 8;
  switch (layers) {
    case BetterLayers::kNone:
      return false;
    case BetterLayers::kFirst:
      return layer < eighth;
    case BetterLayers::kSpread:
      break;
  }
  return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

// "blk.12.attn_v.weight" -> 12; false for what is in no layer.
bool read_layer(std::string_view name, size_t& layer) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return false;
  const char* const begin = name.data() + kPrefix.size();
  return std::from_chars(begin, name.data() + name.size(), layer).ec == std::errc();
}

TensorType with_shorter_blocks(TensorType type) {
  switch (type) {
    case T::kQ4_K:
      return T::kQ5_0;
    case T::kQ5_K:
      return T::kQ5_1;
    case T::kQ6_K:
      return T::kQ8_0;
    default:
      return T::kF16;
  }
}

}  // namespace

std::span<const WeightTypes> all_weight_types() { return kWeightTypes; }

std::string weight_type_names() {
  std::string names;
  for (const WeightTypes& types : kWeightTypes)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", types.name);
  return names;
}

Result<const WeightTypes*> find_weight_types(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) ==
           std::toupper(static_cast<unsigned char>(b));
  };
  for (const WeightTypes& types : kWeightTypes) {
    if (std::equal(name.begin(), name.end(), types.name.begin(), types.name.end(), same))
      return &types;
  }
  return bad_input("expected one of {}, found '{}'", weight_type_names(), name);
}

TensorType type_of_matrix(const WeightTypes& types, std::string_view name, size_t n_layers,
                          bool makes_logits, uint64_t n_in) {
  size_t layer = 0;
  const bool suffers = name.ends_with(".attn_v.weight") || name.ends_with(".ffn_down.weight") ||
                       name.ends_with(".ffn_down_exps.weight");
  const bool better =
      suffers && read_layer(name, layer) && is_better_layer(types.layers, layer, n_layers);
  TensorType type = makes_logits ? types.logits : better ? types.better : types.usual;
  while (n_in % tensor_type_info(type).block_len != 0) type = with_shorter_blocks(type);
  return type;
}

}  // namespace longhaul
