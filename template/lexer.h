// The source of a template as tokens, white space settled as trim_blocks and lstrip_blocks ask.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace longhaul::jinja {

enum class TokenKind {
  kText,   // between tags
  kBegin,  // {% or {{
  kEnd,    // %} or }}
  kName,
  kInteger,
  kReal,
  kString,    // unescaped
  kOperator,  // and brackets
  kSourceEnd,
};

struct Token {
  TokenKind kind;
  std::string text;  // kBegin and kEnd: "%" or "}"; a string without its quotes
  size_t at;         // offset in the source

  bool is(TokenKind its_kind, std::string_view its_text) const {
    return kind == its_kind && text == its_text;
  }
};

// The source as it is read: \n ends every line, and one at the very end is dropped.
std::string normalize_source(std::string_view source);

// "line 3, column 5", both counted from 1, the column in characters.
std::string place_in(std::string_view source, size_t at);

// The last token is kSourceEnd. Error: a character, string or tag that is none, with its place.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace longhaul::jinja
