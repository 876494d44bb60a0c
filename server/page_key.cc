#include "server/page_key.h"

#include "base/check.h"

namespace longhaul {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

// With their lengths, so that no two lists of texts are the same bytes.
PageKey root_of(const std::string& format, size_t owner, const std::string& key) {
  Sha256 hash;
  const auto add = [&](std::string_view text) {
    const uint64_t n = text.size();
    hash.update(std::as_bytes(std::span(&n, 1))).update(std::as_bytes(std::span(text)));
  };
  const uint64_t n_tokens = kPageTokens;
  add("longhaul page");
  hash.update(std::as_bytes(std::span(&n_tokens, 1)));
  add(format);
  add(owner == 0 ? "everybody" : "key");
  add(key);
  return hash.digest();
}

}  // namespace

std::string to_hex(const PageKey& key) {
  std::string text;
  for (const std::byte b : key) {
    text += kDigits[std::to_integer<size_t>(b >> 4)];
    text += kDigits[std::to_integer<size_t>(b & std::byte{15})];
  }
  return text;
}

bool from_hex(std::string_view text, PageKey& key) {
  if (text.size() != 2 * key.size()) return false;
  for (size_t i = 0; i < key.size(); ++i) {
    const size_t high = kDigits.find(text[2 * i]), low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    key[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

PageNames::PageNames(const std::string& format, std::span<const std::string> keys) {
  roots_.push_back(root_of(format, 0, {}));
  for (const std::string& key : keys) roots_.push_back(root_of(format, roots_.size(), key));
}

std::vector<PageKey> PageNames::of(std::span<const int32_t> tokens, size_t owner) const {
  LH_CHECK(owner < roots_.size());
  std::vector<PageKey> keys;
  const PageKey* before = &roots_[owner];
  keys.reserve(tokens.size() / kPageTokens);
  for (size_t i = 0; i + kPageTokens <= tokens.size(); i += kPageTokens) {
    keys.push_back(
        Sha256().update(*before).update(std::as_bytes(tokens.subspan(i, kPageTokens))).digest());
    before = &keys.back();
  }
  return keys;
}

}  // namespace longhaul
