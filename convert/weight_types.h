// What the weights of a file become: one type for all, or a mix that gives more bits to those that
// suffer most. Names and mixes are those of the field ("Q4_K_M").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tensor_type.h"

namespace longhaul {

// Which layers keep the better type in attn_v and ffn_down.
enum class BetterLayers : uint8_t {
  kNone,
  kFirst,   // the first eighth, where errors run through all that follows
  kSpread,  // the first and last eighth, and every third between
};

struct WeightTypes {
  std::string_view name;
  uint32_t file_type;  // general.file_type
  TensorType usual;
  TensorType better;  // of attn_v and ffn_down in some layers
  TensorType logits;  // of the matrix that makes the logits
  BetterLayers layers;
};

// The row of a name in any case, or an error that lists the names.
Result<const WeightTypes*> find_weight_types(std::string_view name);
std::span<const WeightTypes> all_weight_types();
// All names, with commas.
std::string weight_type_names();

// The type of a matrix by its GGUF name. `makes_logits`: it is output.weight, or token_embd.weight of
// a model without that. `n_in`: the length of its rows; where they are no whole number of blocks the
// next larger type with shorter ones stands in, as in published files.
TensorType type_of_matrix(const WeightTypes& types, std::string_view name, size_t n_layers,
                          bool makes_logits, uint64_t n_in);

}  // namespace longhaul
