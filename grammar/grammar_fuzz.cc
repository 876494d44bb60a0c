// Hostile grammars and schemas. Up to the first zero byte the input is one, a schema if it begins
// with '{', the rest is a text that is fed to it. Whatever happens must be an Error with words or
// an automaton whose masks are what feeding each token says.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "grammar/matcher.h"

namespace longhaul::grammar {
namespace {

// Bytes that structures are made of, and some longer texts.
const std::vector<std::string_view>& tokens() {
  static const std::vector<std::string_view> all = {
      "a",  "b",    "\"",   "{",        "}",    "[",    "]",    ":",    ",",
      "1",  "0",    "-",    ".",        "\\",   "n",    "u",    " ",    "\n",
      "e",  "\xC3", "\xA9", "\xE2\x82", "\xAC", "true", "null", "\": ", "\",",
      "ab", "12",   "{\"",  "\"a\":",   "}}",   "",     "</s>"};
  return all;
}

void check_mask(Matcher& matcher, TextState state) {
  const TokenBits mask = matcher.mask(state);
  for (size_t i = 0; i < tokens().size() && matcher.status(); ++i) {
    const bool is_allowed = (mask[i / 64] >> i % 64 & 1U) != 0;
    const bool leads_on =
        !tokens()[i].empty() &&
        (i + 1 == tokens().size() ? matcher.is_complete(state)
                                  : !matcher.is_dead(matcher.accept_bytes(state, tokens()[i])));
    LH_CHECK(is_allowed == leads_on || !matcher.status());
  }
}

void fuzz(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view source = input.substr(0, end);
  const std::string_view text = input.substr(std::min(end + 1, input.size()));
  const auto grammar = source.starts_with('{') ? grammar_of_schema(source) : parse_gbnf(source);
  if (!grammar) {
    LH_CHECK(!grammar.error().message.empty());
    return;
  }
  const auto trie = std::make_shared<const TokenTrie>(
      tokens(), std::vector<int32_t>{static_cast<int32_t>(tokens().size() - 1)});
  Matcher matcher(std::make_shared<TokenMasks>(*grammar, trie));
  TextState state = matcher.start();
  for (size_t i = 0; i < std::min<size_t>(text.size(), 60) && !matcher.is_dead(state); ++i) {
    check_mask(matcher, state);
    state = matcher.accept_bytes(state, text.substr(i, 1));
  }
  if (!matcher.status()) LH_CHECK(!matcher.status().error().message.empty());
}

}  // namespace
}  // namespace longhaul::grammar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  longhaul::grammar::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
