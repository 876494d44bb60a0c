// Names of pages: a page is a run of kPageTokens tokens of a text, named by a hash over these, all
// tokens before them, whose they are, and what their keys and values depend on. So equal beginnings
// have equal names, and nobody finds the pages of another key.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.h"

namespace longhaul {

using PageKey = Sha256Digest;

// A few files for a short prompt, and little that is read again behind the last whole page.
inline constexpr size_t kPageTokens = 64;

std::string to_hex(const PageKey& key);
// 64 digits, as to_hex() writes them; else false.
bool from_hex(std::string_view text, PageKey& key);

class PageNames {
 public:
  // `format`: what keys and values depend on; `keys`: the API keys, of the owners 1, 2 and so on.
  PageNames(const std::string& format, std::span<const std::string> keys);
  // Of all whole pages.
  std::vector<PageKey> of(std::span<const int32_t> tokens, size_t owner) const;

 private:
  std::vector<PageKey> roots_;  // by owner, 0: where there are no keys
};

}  // namespace longhaul
