#include "tokenizer/token_matcher.h"

#include <algorithm>

namespace longhaul {

void TokenMatcher::build() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (const Entry& entry : entries_) first_bytes_[static_cast<uint8_t>(entry.text[0])] = true;
}

TokenMatcher::Match TokenMatcher::longest_at(std::string_view text, size_t pos) const {
  Match match;
  if (!first_bytes_[static_cast<uint8_t>(text[pos])]) return match;
  // [low, high): the entries that begin with the `depth` bytes read so far. All are at least that
  // long, and the one that is exactly that long comes first.
  auto low = entries_.begin();
  auto high = entries_.end();
  for (size_t depth = 0; low != high; ++depth) {
    if (low->text.size() == depth) {
      if (depth > 0) match = {depth, low->id};
      if (++low == high) break;
    }
    if (pos + depth == text.size()) break;
    const auto byte = static_cast<uint8_t>(text[pos + depth]);
    const auto byte_of = [depth](const Entry& e) { return static_cast<uint8_t>(e.text[depth]); };
    low = std::partition_point(low, high, [&](const Entry& e) { return byte_of(e) < byte; });
    high = std::partition_point(low, high, [&](const Entry& e) { return byte_of(e) == byte; });
  }
  return match;
}

}  // namespace longhaul
