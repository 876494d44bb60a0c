// Writes texts within a budget.
#pragma once

#include <algorithm>
#include <limits>

#include "template/limits.h"
#include "template/text.h"

namespace longhaul::jinja {

class Writer {
 public:
  explicit Writer(Budget& budget, size_t max_bytes = std::numeric_limits<size_t>::max())
      : budget_(&budget), max_bytes_(max_bytes) {}

  Status own(std::string_view bytes) {
    LH_RETURN_IF_ERROR(reserve(bytes.size()));
    text_.append_own(bytes);
    return {};
  }
  Status data(std::string_view bytes) {
    LH_RETURN_IF_ERROR(reserve(bytes.size() + sizeof(TextRange)));
    text_.append_data(bytes);
    return {};
  }
  Status text(const Text& other) { return text(other, 0, other.size()); }
  // Bytes [begin, end) of it.
  Status text(const Text& other, size_t begin, size_t end) {
    const size_t n_ranges = std::min(other.data().size(), end - begin);
    LH_RETURN_IF_ERROR(reserve(end - begin + n_ranges * sizeof(TextRange)));
    text_.append(other, begin, end);
    return {};
  }
  // `bytes` with the origin of byte `at` of another text.
  Status as(const Text& other, size_t at, std::string_view bytes) {
    return other.is_data(at) ? data(bytes) : own(bytes);
  }

  size_t size() const { return text_.size(); }
  Text take() { return std::move(text_); }
  Budget& budget() { return *budget_; }

 private:
  Status reserve(size_t n_bytes) {
    if (n_bytes > max_bytes_ || text_.size() > max_bytes_ - n_bytes)
      return bad_input("the template writes too much: expected at most {} bytes", max_bytes_);
    return budget_->memory(n_bytes);
  }

  Budget* budget_;
  size_t max_bytes_;
  Text text_;
};

}  // namespace longhaul::jinja
