// The tokens that a parser has yet to read.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "template/lexer.h"

namespace longhaul::jinja {

class TokenStream {
 public:
  TokenStream(std::string_view source, std::vector<Token> tokens)
      : source_(source), tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() { return next_ + 1 < tokens_.size() ? tokens_[next_++] : tokens_[next_]; }

  bool sees_operator(std::string_view text) const { return peek().is(TokenKind::kOperator, text); }
  bool sees_name(std::string_view text) const { return peek().is(TokenKind::kName, text); }
  bool skip_operator(std::string_view text) { return skip(TokenKind::kOperator, text); }
  bool skip_name(std::string_view text) { return skip(TokenKind::kName, text); }

  Status expect(TokenKind kind, std::string_view text) {
    if (skip(kind, text)) return {};
    return fail(fmt::format("'{}'", kind == TokenKind::kEnd ? std::string(text) + "}" : text));
  }
  Status expect_operator(std::string_view text) { return expect(TokenKind::kOperator, text); }
  Result<std::string> take_name() {
    if (peek().kind == TokenKind::kName) return take().text;
    return fail("a name");
  }

  // The error that something else was expected here.
  tl::unexpected<Error> fail(std::string_view expected) const {
    const Token& found = peek();
    const std::string shown = found.kind == TokenKind::kSourceEnd ? "the template's end"
                              : found.kind == TokenKind::kEnd     ? "the tag's end"
                              : found.kind == TokenKind::kText    ? "text"
                                                                  : "'" + found.text + "'";
    return fail_at(found.at, fmt::format("expected {}, found {}", expected, shown));
  }
  tl::unexpected<Error> fail_at(size_t at, std::string_view message) const {
    return bad_input("{}: {}", place_in(source_, at), message);
  }

 private:
  bool skip(TokenKind kind, std::string_view text) {
    if (!peek().is(kind, text)) return false;
    take();
    return true;
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

}  // namespace longhaul::jinja
