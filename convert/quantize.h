// A GGUF file with its matrices in other types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "convert/weight_types.h"

namespace longhaul {

// What became of one tensor.
struct TensorChange {
  std::string name;
  TensorType from, to;
  uint64_t bytes_before = 0, bytes_after = 0;
  // Root mean square of the differences over that of the weights; 0 where the bytes are the old ones.
  double relative_error = 0;
};

// Writes `in` (all its parts, if it is split) to the file `out`, its matrices as `types` says. A
// matrix that has its type already keeps its bytes, vectors and routers of experts keep theirs always,
// and so do all keys but `general.file_type`. Gives the tensors in the order of the file. `out`
// appears whole or not at all; its bytes do not depend on the number of threads. Errors: a file that
// cannot be read, a matrix of a type without codec, a weight that its new type cannot store.
Result<std::vector<TensorChange>> quantize_file(const std::string& in, const std::string& out,
                                                const WeightTypes& types, size_t n_threads);

}  // namespace longhaul
