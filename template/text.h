// A text that knows which of its bytes are data.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_range.h"

namespace longhaul::jinja {

// UTF-8 bytes, each of which the template wrote (its own text and literals) or which are data: what
// messages, tools and other variables say, and whatever cannot be traced to the template. Operations
// keep the origin of every byte: a text that is cut, joined or replaced in never makes data into the
// template's.
class Text {
 public:
  Text() = default;
  static Text own(std::string bytes);   // the template's
  static Text data(std::string bytes);  // anything else

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  std::span<const TextRange> data() const { return data_; }  // ascending, apart, not empty

  void append_own(std::string_view bytes) { bytes_ += bytes; }
  void append_data(std::string_view bytes);
  void append(const Text& other) { append(other, 0, other.size()); }
  // Bytes [begin, end) of another text.
  void append(const Text& other, size_t begin, size_t end);
  bool is_data(size_t at) const;

  std::string release() && { return std::move(bytes_); }

 private:
  void mark_data(size_t begin, size_t end);

  std::string bytes_;
  std::vector<TextRange> data_;
};

}  // namespace longhaul::jinja
