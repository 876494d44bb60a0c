#include "tokenizer/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace longhaul {

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& stop : stops) {
    if (!stop.empty()) patterns_.push_back(make_pattern(std::move(stop)));
  }
}

StopMatcher::Pattern StopMatcher::make_pattern(std::string text) {
  Pattern pattern{std::move(text), {0, 0}, 0};
  // Running the pattern over itself, one byte behind, gives the fallback of every length.
  for (size_t n = 1; n < pattern.text.size(); ++n) {
    advance(pattern, pattern.text[n]);
    pattern.fallback.push_back(static_cast<uint32_t>(pattern.n_matched));
  }
  pattern.n_matched = 0;
  return pattern;
}

void StopMatcher::advance(Pattern& pattern, char byte) {
  size_t& n = pattern.n_matched;
  while (n > 0 && pattern.text[n] != byte) n = pattern.fallback[n];
  if (pattern.text[n] == byte) ++n;
}

std::string StopMatcher::feed(std::string_view text) {
  if (stopped_) return {};
  for (const char byte : text) {
    pending_.push_back(byte);
    for (Pattern& pattern : patterns_) {
      advance(pattern, byte);
      const bool complete = pattern.n_matched == pattern.text.size();
      if (complete && pattern.text.size() > matched_.size()) matched_ = pattern.text;
    }
    if (!matched_.empty()) {
      stopped_ = true;
      pending_.resize(pending_.size() - matched_.size());
      return std::exchange(pending_, {});
    }
  }
  size_t n_held = 0;
  for (const Pattern& pattern : patterns_) n_held = std::max(n_held, pattern.n_matched);
  std::string safe = pending_.substr(0, pending_.size() - n_held);
  pending_.erase(0, safe.size());
  return safe;
}

std::string StopMatcher::finish() { return stopped_ ? std::string() : std::exchange(pending_, {}); }

}  // namespace longhaul
