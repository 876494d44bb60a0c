// Finds tokens that are text in their own right (control and user-defined ones) in a text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace longhaul {

class TokenMatcher {
 public:
  struct Match {
    size_t length = 0;  // 0: none
    int32_t id = -1;
  };

  // The texts must be distinct, not empty, and outlive the matcher.
  void add(std::string_view text, int32_t id) { entries_.push_back({text, id}); }
  // To be called after the last add().
  void build();

  // The longest token that `text` has at `pos`. Costs the length of the longest common beginning,
  // so that a text full of `<` is not compared with every token that starts with one.
  Match longest_at(std::string_view text, size_t pos) const;

 private:
  struct Entry {
    std::string_view text;
    int32_t id;
  };
  std::vector<Entry> entries_;  // sorted by text
  std::array<bool, 256> first_bytes_{};
};

}  // namespace longhaul
