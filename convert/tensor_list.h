// Which tensors a GGUF file of a model has, and from which of the checkpoint's each is made.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "convert/model_config.h"

namespace longhaul {

struct TensorOrder {
  std::string source;  // in the checkpoint, without the prefix of a checkpoint with a vision part
  std::string target;  // in the GGUF file
  size_t n_out = 0;
  size_t n_in = 0;  // 0: a vector of n_out numbers, which stays f32
  size_t n_heads =
      0;  // not 0: rows of each head move from RoPE's halves to pairs, see source_row()
  bool adds_one = false;
  bool is_negated_exp = false;  // becomes -exp(x)
  bool stays_f32 = false;       // whatever the type of other matrices
  bool has_middle = false;      // its shape in the checkpoint is [n_out, 1, n_in]
  // Of one tensor with q, k and v: of the n_q and then of the n_k heads the even ones go before the
  // odd ones. head_dim 0: it is none.
  struct Parity {
    size_t n_q = 0, n_k = 0, head_dim = 0;
  } parity = {};
};

// All tensors of the model, embedding first.
std::vector<TensorOrder> list_tensors(const CheckpointConfig& config);

// The row of the checkpoint's matrix that becomes row `row`: in a head of d rows, row 2i comes from
// row i and row 2i + 1 from row d/2 + i, so that what RoPE turns together stands side by side. Of a
// vector, the same of its numbers.
size_t source_row(const TensorOrder& order, size_t row);

// Whether a tensor of a checkpoint that nobody asked for may be left out: what readers compute
// themselves (the frequencies of old files), and the output matrix of tied models.
bool is_left_out(const CheckpointConfig& config, const std::string& source);

}  // namespace longhaul
