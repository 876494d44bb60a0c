// Stop strings in a stream of text: found wherever the stream is cut, and never shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul {

// Text goes in by feed() and comes out once it cannot be part of a stop string. The text ends at
// the first byte that completes one; of several completed by the same byte the longest counts. The
// result does not depend on how the text was cut. Takes O(stop strings) per byte.
class StopMatcher {
 public:
  // Empty stop strings are left out: they would stop every text before it begins.
  explicit StopMatcher(std::vector<std::string> stops);

  // The text that is now safe to show. After a stop: what stood before it; later calls give
  // nothing.
  std::string feed(std::string_view text);
  // At the end of the stream: what was held back, which is then no stop.
  std::string finish();

  bool stopped() const { return stopped_; }
  // The stop string that was completed; empty before.
  const std::string& matched() const { return matched_; }

 private:
  struct Pattern {
    std::string text;
    // fallback[n]: the length of the longest proper beginning of text[0, n) that also ends it, so
    // that no byte is looked at twice (Knuth, Morris and Pratt 1977).
    std::vector<uint32_t> fallback;
    size_t n_matched = 0;
  };
  static Pattern make_pattern(std::string text);
  static void advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  std::string pending_;  // shown to nobody yet
  bool stopped_ = false;
  std::string matched_;
};

}  // namespace longhaul
