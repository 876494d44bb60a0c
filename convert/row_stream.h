// Weights on their way into a file: rows are read, encoded by all threads and handed on a few at a
// time, so that no tensor is ever held whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/tensor_type.h"
#include "parallel/thread_pool.h"

namespace longhaul {

// Rows of floats of equal length.
struct RowSource {
  size_t n_rows = 0;
  size_t n_in = 0;  // numbers in a row
  // Writes row i to `out`; called by several threads at once.
  std::function<void(size_t i, float* out)> read;
};

// Consecutive rows, as read and as encoded.
struct RowBatch {
  size_t n_rows = 0;
  std::span<const float> values;
  std::span<const std::byte> encoded;
};

// Encodes all rows as `type`, for which quant/ has a codec and of whose blocks a row is a whole
// number, and gives them to `next` in order. Errors: a value that is not finite, or too large for the
// type's 16-bit numbers, with `name`, the row and the value; what `next` returns. The bytes do not
// depend on the number of threads.
Status stream_rows(const RowSource& rows, TensorType type, const std::string& name,
                   ThreadPool& pool, FunctionRef<Status(const RowBatch&)> next);

}  // namespace longhaul
