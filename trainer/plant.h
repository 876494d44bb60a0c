// A first guess at the weights that already looks things up, so that training starts past the long
// plateau before look-up heads form, and with keys that block descriptors can tell apart.
#pragma once

#include "base/result.h"
#include "trainer/model.h"
#include "trainer/vocabulary.h"

namespace longhaul::trainer {

// Overwrites parts of freshly drawn weights (all is trained afterwards):
// - the embedding gets a constant dimension, one that marks the start of the text, and a code of 32
//   dimensions: sine and cosine of three frequencies for numbers; a flag for numbers and one for
//   the separators " ;" and " :"; and for all other tokens a sparse code in the last 24, of which 4
//   are
//   +-a and the rest zero. Then random content, and nothing yet where the first layer will write;
// - first layer: query heads attend to the token 1, 2 and 3 back, by position alone, and write its
//   code into dimensions of their own;
// - second layer, first KV group: finds the token whose predecessor is the present token;
//   second KV group: finds the token whose third-last is the one two back (the next label of
//   `sum`). Queries and keys are sparse codes, in the 24 slowest dimensions of RoPE, which turn by
//   less than a tenth of a radian in 8K tokens at base 1e8; a query without a match reads the start
//   of the text. What is found is copied to the output;
// - second feed-forward: after a separator, copies the predecessor's sparse code to the output.
//
// Sparse codes are what block descriptors can tell apart: a block's minimum and maximum over 16
// dense codes exceed most queries' products with any one of them, so that every block promises as
// much as the right one. With 4 signed dimensions of 24, and 5 codes in a block, 2% of the blocks
// promise as much.
// Error unless there is QK-norm, two layers or more, four heads of 64, two KV heads and a d_model
// of at least 192.
Status plant_lookup(const ModelConfig& config, const Vocabulary& vocabulary, ModelWeights& weights);

}  // namespace longhaul::trainer
