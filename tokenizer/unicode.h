// Just enough Unicode for tokenizing: general categories, white space.
#pragma once

#include <cstdint>

#include "base/utf8.h"

namespace longhaul {

// General categories, those that no pre-tokenizer tells apart put together. The numbers are those
// of tools/make_unicode_tables.py.
enum class CharCategory : uint8_t {
  kOther = 0,           // symbols, separators, controls, unassigned
  kUpperLetter = 1,     // Lu, Lt
  kLowerLetter = 2,     // Ll
  kCaselessLetter = 3,  // Lm, Lo
  kMark = 4,
  kNumber = 5,
  kPunctuation = 6,
};

CharCategory char_category(char32_t code);

// The property White_Space, which `\s` means in the published patterns.
bool is_white_space(char32_t code);

}  // namespace longhaul
