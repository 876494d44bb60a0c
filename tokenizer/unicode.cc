#include "tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace longhaul {
namespace {

// clang-format off
constexpr uint32_t kCategoryRanges[] = {
#include "tokenizer/unicode_tables.inc"
};
// clang-format on

CharCategory find_category(char32_t code) {
  // The last entry that starts at or before `code`: the first whose start is above it, minus one.
  const uint32_t key = (static_cast<uint32_t>(code) << 4) | 0xF;
  const auto* after = std::upper_bound(std::begin(kCategoryRanges), std::end(kCategoryRanges), key);
  return static_cast<CharCategory>(*(after - 1) & 0xF);
}

std::array<CharCategory, 128> ascii_categories() {
  std::array<CharCategory, 128> table{};
  for (uint32_t code = 0; code < 128; ++code) table[code] = find_category(code);
  return table;
}

}  // namespace

CharCategory char_category(char32_t code) {
  static const std::array<CharCategory, 128> kAscii = ascii_categories();
  return code < 128 ? kAscii[code] : find_category(code);
}

bool is_white_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

}  // namespace longhaul
