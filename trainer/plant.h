// A first guess at the weights that already looks things up, so that training starts past the long
// plateau before look-up heads form, and with keys that block descriptors can tell apart.
#pragma once

#include "base/result.h"
#include "trainer/model.h"

namespace longhaul::trainer {

// Overwrites parts of freshly drawn weights (all is trained afterwards):
// - the embedding gets a constant first dimension, random content in the others, and nothing yet in
//   the dimensions where the first layer will write;
// - first layer: query heads attend to the token 1, 2 and 3 back, by position alone, and write a
//   32-dimensional code of that token's content into dimensions of their own;
// - second layer, first KV group: finds the token whose predecessor is the present token;
//   second KV group: finds the token whose third-last is the one two back (the next label of
//   `sum`). Queries and keys are codes, in the 32 slowest dimensions of RoPE, which turn by less
//   than one radian in 8K tokens at base 1e8; what is found is copied to the output.
// Error unless there is QK-norm, two layers or more, four heads of 64, two KV heads and a d_model
// of at least 192.
Status plant_lookup(const ModelConfig& config, ModelWeights& weights);

}  // namespace longhaul::trainer
