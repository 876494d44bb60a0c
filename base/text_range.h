// A stretch of a text, in bytes.
#pragma once

#include <cstddef>

namespace longhaul {

struct TextRange {
  size_t begin = 0;
  size_t end = 0;  // behind the last byte

  friend bool operator==(const TextRange&, const TextRange&) = default;
};

}  // namespace longhaul
