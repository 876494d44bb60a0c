// A non-owning row-major matrix with a row stride, in elements.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace longhaul {

template <class T>
struct MatrixView {
  T* data = nullptr;
  size_t n_rows = 0;
  size_t n_cols = 0;
  size_t stride = 0;  // elements from one row to the next

  MatrixView() = default;
  MatrixView(T* data_in, size_t rows, size_t cols) : MatrixView(data_in, rows, cols, cols) {}
  MatrixView(T* data_in, size_t rows, size_t cols, size_t row_stride)
      : data(data_in), n_rows(rows), n_cols(cols), stride(row_stride) {}

  T* row(size_t r) const {
    LH_DCHECK(r < n_rows);
    return data + r * stride;
  }
  MatrixView rows(size_t first, size_t count) const {
    LH_DCHECK(first + count <= n_rows);
    return {data + first * stride, count, n_cols, stride};
  }
  operator MatrixView<const T>() const {
    return {data, n_rows, n_cols, stride};
  }  // NOLINT: widening to const
};

}  // namespace longhaul
