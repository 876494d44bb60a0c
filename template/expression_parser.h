// The expressions of a template, with Jinja's precedence.
#pragma once

#include "template/ast.h"
#include "template/token_stream.h"

namespace longhaul::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  // One expression; `x if y else z` only where conditionals may stand.
  Result<ExpressionPtr> expression(bool with_conditional = true);
  // One, or several apart as a tuple.
  Result<ExpressionPtr> tuple(bool with_conditional = true);
  // The filters behind `input`, which may be null: `| name(..) | ..`, the first without its bar.
  Result<ExpressionPtr> filters(ExpressionPtr input);
  // What stands between the brackets of a call, behind the first.
  Status arguments(std::vector<Argument>& out);

 private:
  using Parts = std::vector<ExpressionPtr>;
  using Level = Result<ExpressionPtr> (ExpressionParser::*)();

  Result<ExpressionPtr> make(ExpressionKind kind, size_t at, Parts parts, std::string name = {});
  Result<ExpressionPtr> literal(size_t at, Value value);
  Result<ExpressionPtr> left_binary(std::initializer_list<std::string_view> operators, Level next);

  Result<ExpressionPtr> parse_or();
  Result<ExpressionPtr> parse_and();
  Result<ExpressionPtr> parse_not();
  Result<ExpressionPtr> parse_compare();
  Result<ExpressionPtr> parse_sum();
  Result<ExpressionPtr> parse_concat();
  Result<ExpressionPtr> parse_product();
  Result<ExpressionPtr> parse_power();
  Result<ExpressionPtr> parse_unary() { return parse_signed(true); }
  Result<ExpressionPtr> parse_signed(bool with_filters);
  Result<ExpressionPtr> parse_primary();
  Result<ExpressionPtr> parse_name();
  Result<ExpressionPtr> parse_number();
  Result<ExpressionPtr> parse_string();
  Result<ExpressionPtr> parse_parentheses();
  Result<ExpressionPtr> parse_list();
  Result<ExpressionPtr> parse_dict();
  Result<ExpressionPtr> parse_postfix(ExpressionPtr base);
  Result<ExpressionPtr> parse_filters_and_tests(ExpressionPtr base);
  Result<ExpressionPtr> parse_call(ExpressionPtr base);
  Result<ExpressionPtr> parse_member(ExpressionPtr base);
  Result<ExpressionPtr> parse_subscript(ExpressionPtr base);
  Result<ExpressionPtr> parse_test(ExpressionPtr base);
  Status test_argument(Expression& test);
  bool sees_comparison(std::string& name);

  TokenStream& tokens_;
  size_t depth_ = 0;  // of expressions that are being read
};

}  // namespace longhaul::jinja
