// Sets of characters: the classes of grammars and patterns.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace longhaul::grammar {

struct CharRange {
  char32_t first = 0, last = 0;  // both are in it

  bool operator==(const CharRange&) const = default;
};

// Sets of Unicode's scalar values: surrogates are never in them.
class CharSet {
 public:
  CharSet() = default;
  CharSet(std::initializer_list<CharRange> ranges);
  explicit CharSet(std::vector<CharRange> ranges);
  static CharSet all();

  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t code) const;
  // Ascending, apart, not touching.
  const std::vector<CharRange>& ranges() const { return ranges_; }

  CharSet complement() const;
  CharSet united(const CharSet& other) const;
  CharSet intersected(const CharSet& other) const;
  CharSet without(const CharSet& other) const { return intersected(other.complement()); }

  bool operator==(const CharSet&) const = default;

 private:
  std::vector<CharRange> ranges_;
};

}  // namespace longhaul::grammar
