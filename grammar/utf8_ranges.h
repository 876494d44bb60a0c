// Ranges of characters as ranges of the bytes that write them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "grammar/char_set.h"

namespace longhaul::grammar {

struct ByteRange {
  uint8_t first = 0, last = 0;  // both are in it

  bool operator==(const ByteRange&) const = default;
};

// One range for each of n_bytes bytes: every choice of bytes from them is a character.
struct Utf8Range {
  uint8_t n_bytes = 0;
  std::array<ByteRange, 4> bytes = {};
};

// Together the UTF-8 forms of the characters of the range, each once.
std::vector<Utf8Range> utf8_ranges(CharRange range);

}  // namespace longhaul::grammar
