#include "grammar/utf8_ranges.h"

#include <algorithm>

namespace longhaul::grammar {
namespace {

constexpr unsigned kBitsPerByte = 6;  // of a character, in every byte but the first

// Codes of n_bytes bytes that agree but in their last `n_free` bytes, which take all values.
Utf8Range bytes_of(CharRange range, unsigned n_bytes) {
  constexpr uint8_t kLead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
  Utf8Range out{.n_bytes = static_cast<uint8_t>(n_bytes)};
  for (unsigned i = 0; i < n_bytes; ++i) {
    const unsigned shift = kBitsPerByte * (n_bytes - 1 - i);
    const auto part = [&](char32_t code) {
      const char32_t bits = code >> shift;
      return static_cast<uint8_t>(i == 0 ? kLead[n_bytes] | bits : 0x80U | (bits & 0x3FU));
    };
    out.bytes[i] = {part(range.first), part(range.last)};
  }
  return out;
}

// Cuts a range of codes of one length until its ends agree above some byte, and below that run over
// everything.
void split(CharRange range, unsigned n_bytes, std::vector<Utf8Range>& out) {
  for (unsigned n_free = 1; n_free < n_bytes; ++n_free) {
    const char32_t low = (char32_t{1} << (kBitsPerByte * n_free)) - 1;
    if ((range.first & ~low) == (range.last & ~low)) continue;  // agree above these bytes
    if ((range.first & low) != 0) {
      split({range.first, range.first | low}, n_bytes, out);
      return split({(range.first | low) + 1, range.last}, n_bytes, out);
    }
    if ((range.last & low) != low) {
      split({range.first, (range.last & ~low) - 1}, n_bytes, out);
      return split({range.last & ~low, range.last}, n_bytes, out);
    }
  }
  out.push_back(bytes_of(range, n_bytes));
}

}  // namespace

std::vector<Utf8Range> utf8_ranges(CharRange range) {
  constexpr char32_t kFirstOf[] = {0, 0, 0x80, 0x800, 0x10000, 0x110000};
  std::vector<Utf8Range> out;
  for (unsigned n_bytes = 1; n_bytes <= 4; ++n_bytes) {
    const CharRange part{std::max(range.first, kFirstOf[n_bytes]),
                         std::min<char32_t>(range.last, kFirstOf[n_bytes + 1] - 1)};
    if (part.first <= part.last) split(part, n_bytes, out);
  }
  return out;
}

}  // namespace longhaul::grammar
