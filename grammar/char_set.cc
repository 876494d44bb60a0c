#include "grammar/char_set.h"

#include <algorithm>

namespace longhaul::grammar {
namespace {

constexpr char32_t kLast = 0x10FFFF, kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

void append_scalars(CharRange range, std::vector<CharRange>& out) {
  range.last = std::min(range.last, kLast);
  if (range.first < kFirstSurrogate)
    out.push_back({range.first, std::min<char32_t>(range.last, kFirstSurrogate - 1)});
  if (range.last > kLastSurrogate)
    out.push_back({std::max<char32_t>(range.first, kLastSurrogate + 1), range.last});
}

}  // namespace

CharSet::CharSet(std::initializer_list<CharRange> ranges)
    : CharSet(std::vector<CharRange>(ranges)) {}

CharSet::CharSet(std::vector<CharRange> ranges) {
  std::vector<CharRange> scalars;
  for (const CharRange& range : ranges) append_scalars(range, scalars);
  std::erase_if(scalars, [](const CharRange& range) { return range.first > range.last; });
  std::sort(scalars.begin(), scalars.end(),
            [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  for (const CharRange& range : scalars) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::all() { return CharSet({{0, kLast}}); }

bool CharSet::contains(char32_t code) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [code](const CharRange& range) {
    return range.first <= code && code <= range.last;
  });
}

CharSet CharSet::complement() const {
  std::vector<CharRange> gaps;
  char32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) gaps.push_back({next, kLast});
  return CharSet(std::move(gaps));
}

CharSet CharSet::united(const CharSet& other) const {
  std::vector<CharRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(both));
}

CharSet CharSet::intersected(const CharSet& other) const {
  return complement().united(other.complement()).complement();
}

}  // namespace longhaul::grammar
