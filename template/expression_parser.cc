#include "template/expression_parser.h"

#include <algorithm>
#include <limits>

#include "template/literals.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kMaxHeight = 200;

size_t height_of(const Expression& node) {
  size_t height = 0;
  for (const ExpressionPtr& part : node.parts)
    if (part) height = std::max(height, part->height);
  for (const Argument& argument : node.arguments) height = std::max(height, argument.value->height);
  return height + 1;
}

ExpressionPtr new_node(ExpressionKind kind, size_t at) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->at = at;
  return node;
}

tl::unexpected<Error> too_deep(const TokenStream& tokens, size_t at) {
  return tokens.fail_at(at, fmt::format("expected an expression at most {} deep", kMaxHeight));
}

// Arguments that came behind the node was made count, too.
Result<ExpressionPtr> finish(const TokenStream& tokens, ExpressionPtr node) {
  node->height = height_of(*node);
  if (node->height <= kMaxHeight) return node;
  return too_deep(tokens, node->at);
}

}  // namespace

Result<ExpressionPtr> ExpressionParser::make(ExpressionKind kind, size_t at, Parts parts,
                                             std::string name) {
  ExpressionPtr node = new_node(kind, at);
  node->parts = std::move(parts);
  node->name = std::move(name);
  return finish(tokens_, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::literal(size_t at, Value value) {
  ExpressionPtr node = new_node(ExpressionKind::kLiteral, at);
  node->value = std::move(value);
  return node;
}

Result<ExpressionPtr> ExpressionParser::expression(bool with_conditional) {
  if (depth_ >= kMaxHeight) return too_deep(tokens_, tokens_.peek().at);
  ++depth_;
  auto node = parse_or();
  while (node && with_conditional && tokens_.sees_name("if")) {
    const size_t at = tokens_.take().at;
    Parts parts;
    parts.push_back(std::move(*node));
    LH_ASSIGN_OR_RETURN(ExpressionPtr condition, parse_or());
    parts.push_back(std::move(condition));
    ExpressionPtr otherwise;
    if (tokens_.skip_name("else")) {
      LH_ASSIGN_OR_RETURN(otherwise, expression());
    }
    parts.push_back(std::move(otherwise));
    node = make(ExpressionKind::kConditional, at, std::move(parts));
  }
  --depth_;
  return node;
}

Result<ExpressionPtr> ExpressionParser::tuple(bool with_conditional) {
  const size_t at = tokens_.peek().at;
  LH_ASSIGN_OR_RETURN(ExpressionPtr first, expression(with_conditional));
  if (!tokens_.sees_operator(",")) return first;
  Parts parts;
  parts.push_back(std::move(first));
  while (tokens_.skip_operator(",")) {
    const Token& next = tokens_.peek();
    if (next.kind == TokenKind::kEnd || tokens_.sees_operator(")") || tokens_.sees_operator("="))
      break;
    LH_ASSIGN_OR_RETURN(ExpressionPtr part, expression(with_conditional));
    parts.push_back(std::move(part));
  }
  return make(ExpressionKind::kTuple, at, std::move(parts));
}

// Operands of `next` with operators of one precedence between them, the left ones first.
Result<ExpressionPtr> ExpressionParser::left_binary(
    std::initializer_list<std::string_view> operators, Level next) {
  LH_ASSIGN_OR_RETURN(ExpressionPtr left, (this->*next)());
  for (;;) {
    const Token& token = tokens_.peek();
    const bool is_one =
        token.kind == TokenKind::kOperator &&
        std::find(operators.begin(), operators.end(), token.text) != operators.end();
    if (!is_one) return left;
    const size_t at = token.at;
    std::string name = tokens_.take().text;
    LH_ASSIGN_OR_RETURN(ExpressionPtr right, (this->*next)());
    Parts parts;
    parts.push_back(std::move(left));
    parts.push_back(std::move(right));
    LH_ASSIGN_OR_RETURN(left, make(ExpressionKind::kBinary, at, std::move(parts), std::move(name)));
  }
}

Result<ExpressionPtr> ExpressionParser::parse_or() {
  LH_ASSIGN_OR_RETURN(ExpressionPtr left, parse_and());
  while (tokens_.sees_name("or")) {
    const size_t at = tokens_.take().at;
    Parts parts;
    parts.push_back(std::move(left));
    LH_ASSIGN_OR_RETURN(ExpressionPtr right, parse_and());
    parts.push_back(std::move(right));
    LH_ASSIGN_OR_RETURN(left, make(ExpressionKind::kOr, at, std::move(parts)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_and() {
  LH_ASSIGN_OR_RETURN(ExpressionPtr left, parse_not());
  while (tokens_.sees_name("and")) {
    const size_t at = tokens_.take().at;
    Parts parts;
    parts.push_back(std::move(left));
    LH_ASSIGN_OR_RETURN(ExpressionPtr right, parse_not());
    parts.push_back(std::move(right));
    LH_ASSIGN_OR_RETURN(left, make(ExpressionKind::kAnd, at, std::move(parts)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_not() {
  std::vector<size_t> nots;
  while (tokens_.sees_name("not")) nots.push_back(tokens_.take().at);
  LH_ASSIGN_OR_RETURN(ExpressionPtr node, parse_compare());
  for (; !nots.empty(); nots.pop_back()) {
    Parts parts;
    parts.push_back(std::move(node));
    LH_ASSIGN_OR_RETURN(node, make(ExpressionKind::kNot, nots.back(), std::move(parts)));
  }
  return node;
}

// Whether a comparison comes; its name is taken.
bool ExpressionParser::sees_comparison(std::string& name) {
  const Token& token = tokens_.peek();
  if (token.kind == TokenKind::kOperator) {
    for (const std::string_view known : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (token.text != known) continue;
      name = tokens_.take().text;
      return true;
    }
    return false;
  }
  if (tokens_.skip_name("in")) {
    name = "in";
    return true;
  }
  if (tokens_.sees_name("not") && tokens_.peek(1).is(TokenKind::kName, "in")) {
    tokens_.take();
    tokens_.take();
    name = "not in";
    return true;
  }
  return false;
}

Result<ExpressionPtr> ExpressionParser::parse_compare() {
  LH_ASSIGN_OR_RETURN(ExpressionPtr first, parse_sum());
  const size_t at = tokens_.peek().at;
  std::string name;
  if (!sees_comparison(name)) return first;
  ExpressionPtr node = new_node(ExpressionKind::kCompare, at);
  node->parts.push_back(std::move(first));
  do {
    node->names.push_back(name);
    LH_ASSIGN_OR_RETURN(ExpressionPtr next, parse_sum());
    node->parts.push_back(std::move(next));
  } while (sees_comparison(name));
  return finish(tokens_, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::parse_sum() {
  return left_binary({"+", "-"}, &ExpressionParser::parse_concat);
}

Result<ExpressionPtr> ExpressionParser::parse_concat() {
  const size_t at = tokens_.peek().at;
  LH_ASSIGN_OR_RETURN(ExpressionPtr first, parse_product());
  if (!tokens_.sees_operator("~")) return first;
  Parts parts;
  parts.push_back(std::move(first));
  while (tokens_.skip_operator("~")) {
    LH_ASSIGN_OR_RETURN(ExpressionPtr next, parse_product());
    parts.push_back(std::move(next));
  }
  return make(ExpressionKind::kConcat, at, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::parse_product() {
  return left_binary({"*", "/", "//", "%"}, &ExpressionParser::parse_power);
}

Result<ExpressionPtr> ExpressionParser::parse_power() {
  return left_binary({"**"}, &ExpressionParser::parse_unary);
}

Result<ExpressionPtr> ExpressionParser::parse_signed(bool with_filters) {
  ExpressionPtr node;
  if (tokens_.sees_operator("-") || tokens_.sees_operator("+")) {
    if (depth_ >= kMaxHeight) return too_deep(tokens_, tokens_.peek().at);
    const size_t at = tokens_.peek().at;
    std::string name = tokens_.take().text;
    ++depth_;
    LH_ASSIGN_OR_RETURN(ExpressionPtr operand, parse_signed(false));
    --depth_;
    Parts parts;
    parts.push_back(std::move(operand));
    LH_ASSIGN_OR_RETURN(node, make(ExpressionKind::kSign, at, std::move(parts), std::move(name)));
  } else {
    LH_ASSIGN_OR_RETURN(node, parse_primary());
  }
  LH_ASSIGN_OR_RETURN(node, parse_postfix(std::move(node)));
  if (!with_filters) return node;
  return parse_filters_and_tests(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::parse_primary() {
  switch (tokens_.peek().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kInteger:
    case TokenKind::kReal:
      return parse_number();
    case TokenKind::kString:
      return parse_string();
    default:
      break;
  }
  if (tokens_.sees_operator("(")) return parse_parentheses();
  if (tokens_.sees_operator("[")) return parse_list();
  if (tokens_.sees_operator("{")) return parse_dict();
  return tokens_.fail("an expression");
}

Result<ExpressionPtr> ExpressionParser::parse_name() {
  const size_t at = tokens_.peek().at;
  std::string name = tokens_.take().text;
  if (name == "true" || name == "True") return literal(at, Value::boolean(true));
  if (name == "false" || name == "False") return literal(at, Value::boolean(false));
  if (name == "none" || name == "None") return literal(at, Value::none());
  return make(ExpressionKind::kName, at, {}, std::move(name));
}

Result<ExpressionPtr> ExpressionParser::parse_number() {
  const Token token = tokens_.take();
  if (token.kind == TokenKind::kReal)
    return literal(token.at, Value::real(jinja::parse_real(token.text)));
  const auto value = parse_integer(token.text);
  if (!value) return tokens_.fail_at(token.at, value.error().message);
  return literal(token.at, Value::integer(*value));
}

// Strings side by side are one.
Result<ExpressionPtr> ExpressionParser::parse_string() {
  const size_t at = tokens_.peek().at;
  std::string text;
  while (tokens_.peek().kind == TokenKind::kString) text += tokens_.take().text;
  return literal(at, Value::own(text));
}

Result<ExpressionPtr> ExpressionParser::parse_parentheses() {
  const size_t at = tokens_.take().at;
  if (tokens_.skip_operator(")")) return make(ExpressionKind::kTuple, at, {});
  LH_ASSIGN_OR_RETURN(ExpressionPtr inner, tuple());
  LH_RETURN_IF_ERROR(tokens_.expect_operator(")"));
  return inner;
}

Result<ExpressionPtr> ExpressionParser::parse_list() {
  const size_t at = tokens_.take().at;
  Parts parts;
  while (!tokens_.skip_operator("]")) {
    if (!parts.empty()) LH_RETURN_IF_ERROR(tokens_.expect_operator(","));
    if (tokens_.skip_operator("]")) break;
    LH_ASSIGN_OR_RETURN(ExpressionPtr part, expression());
    parts.push_back(std::move(part));
  }
  return make(ExpressionKind::kList, at, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::parse_dict() {
  const size_t at = tokens_.take().at;
  Parts parts;
  while (!tokens_.skip_operator("}")) {
    if (!parts.empty()) LH_RETURN_IF_ERROR(tokens_.expect_operator(","));
    if (tokens_.skip_operator("}")) break;
    LH_ASSIGN_OR_RETURN(ExpressionPtr key, expression());
    LH_RETURN_IF_ERROR(tokens_.expect_operator(":"));
    LH_ASSIGN_OR_RETURN(ExpressionPtr value, expression());
    parts.push_back(std::move(key));
    parts.push_back(std::move(value));
  }
  return make(ExpressionKind::kDict, at, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::parse_postfix(ExpressionPtr base) {
  for (;;) {
    if (tokens_.sees_operator(".")) {
      LH_ASSIGN_OR_RETURN(base, parse_member(std::move(base)));
    } else if (tokens_.sees_operator("[")) {
      LH_ASSIGN_OR_RETURN(base, parse_subscript(std::move(base)));
    } else if (tokens_.sees_operator("(")) {
      LH_ASSIGN_OR_RETURN(base, parse_call(std::move(base)));
    } else {
      return base;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::parse_filters_and_tests(ExpressionPtr base) {
  for (;;) {
    if (tokens_.skip_operator("|")) {
      LH_ASSIGN_OR_RETURN(base, filters(std::move(base)));
    } else if (tokens_.sees_name("is")) {
      LH_ASSIGN_OR_RETURN(base, parse_test(std::move(base)));
    } else if (tokens_.sees_operator("(")) {
      LH_ASSIGN_OR_RETURN(base, parse_call(std::move(base)));
    } else {
      return base;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::filters(ExpressionPtr input) {
  do {
    const size_t at = tokens_.peek().at;
    LH_ASSIGN_OR_RETURN(std::string name, tokens_.take_name());
    ExpressionPtr node = new_node(ExpressionKind::kFilter, at);
    node->name = std::move(name);
    node->parts.push_back(std::move(input));
    if (tokens_.skip_operator("(")) LH_RETURN_IF_ERROR(arguments(node->arguments));
    LH_ASSIGN_OR_RETURN(input, finish(tokens_, std::move(node)));
  } while (tokens_.skip_operator("|"));
  return input;
}

Status ExpressionParser::arguments(std::vector<Argument>& out) {
  while (!tokens_.skip_operator(")")) {
    if (!out.empty()) LH_RETURN_IF_ERROR(tokens_.expect_operator(","));
    if (tokens_.skip_operator(")")) break;
    if (tokens_.sees_operator("**")) return tokens_.fail("an argument (** is not supported)");
    Argument argument;
    argument.is_spread = tokens_.skip_operator("*");
    if (!argument.is_spread && tokens_.peek().kind == TokenKind::kName &&
        tokens_.peek(1).is(TokenKind::kOperator, "=")) {
      argument.name = tokens_.take().text;
      tokens_.take();
    } else if (!out.empty() && !out.back().name.empty()) {
      return tokens_.fail("an argument with a name behind one that has a name");
    }
    LH_ASSIGN_OR_RETURN(argument.value, expression());
    out.push_back(std::move(argument));
  }
  return {};
}

Result<ExpressionPtr> ExpressionParser::parse_call(ExpressionPtr base) {
  ExpressionPtr node = new_node(ExpressionKind::kCall, tokens_.take().at);
  node->parts.push_back(std::move(base));
  LH_RETURN_IF_ERROR(arguments(node->arguments));
  return finish(tokens_, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::parse_member(ExpressionPtr base) {
  const size_t at = tokens_.take().at;
  Parts parts;
  parts.push_back(std::move(base));
  if (tokens_.peek().kind == TokenKind::kInteger) {  // x.0 is x[0]
    LH_ASSIGN_OR_RETURN(ExpressionPtr number, parse_number());
    parts.push_back(std::move(number));
    return make(ExpressionKind::kSubscript, at, std::move(parts));
  }
  LH_ASSIGN_OR_RETURN(std::string name, tokens_.take_name());
  return make(ExpressionKind::kAttribute, at, std::move(parts), std::move(name));
}

Result<ExpressionPtr> ExpressionParser::parse_subscript(ExpressionPtr base) {
  const size_t at = tokens_.take().at;
  Parts parts;
  parts.push_back(std::move(base));
  bool is_slice = false;
  ExpressionPtr part;
  if (!tokens_.sees_operator(":")) {
    LH_ASSIGN_OR_RETURN(part, tuple());
  }
  parts.push_back(std::move(part));
  while (parts.size() < 4 && tokens_.skip_operator(":")) {
    is_slice = true;
    part.reset();
    if (!tokens_.sees_operator(":") && !tokens_.sees_operator("]")) {
      LH_ASSIGN_OR_RETURN(part, expression());
    }
    parts.push_back(std::move(part));
  }
  LH_RETURN_IF_ERROR(tokens_.expect_operator("]"));
  if (is_slice) parts.resize(4);
  return make(is_slice ? ExpressionKind::kSlice : ExpressionKind::kSubscript, at, std::move(parts));
}

// A test may take one argument without brackets: `is divisibleby 3`.
Status ExpressionParser::test_argument(Expression& test) {
  const Token& next = tokens_.peek();
  const bool is_word = next.kind == TokenKind::kName;
  const bool ends = is_word && (next.text == "else" || next.text == "or" || next.text == "and" ||
                                next.text == "if" || next.text == "in" || next.text == "not");
  if (is_word && next.text == "is") return tokens_.fail("one test (tests of tests mean nothing)");
  const bool begins = is_word || next.kind == TokenKind::kInteger ||
                      next.kind == TokenKind::kReal || next.kind == TokenKind::kString ||
                      tokens_.sees_operator("[") || tokens_.sees_operator("{");
  if (!begins || ends) return {};
  LH_ASSIGN_OR_RETURN(ExpressionPtr value, parse_primary());
  LH_ASSIGN_OR_RETURN(value, parse_postfix(std::move(value)));
  test.arguments.push_back({"", std::move(value), false});
  return {};
}

Result<ExpressionPtr> ExpressionParser::parse_test(ExpressionPtr base) {
  const size_t at = tokens_.take().at;
  const bool is_negated = tokens_.skip_name("not");
  ExpressionPtr node = new_node(ExpressionKind::kTest, at);
  LH_ASSIGN_OR_RETURN(node->name, tokens_.take_name());
  node->parts.push_back(std::move(base));
  if (tokens_.skip_operator("(")) {
    LH_RETURN_IF_ERROR(arguments(node->arguments));
  } else {
    LH_RETURN_IF_ERROR(test_argument(*node));
  }
  LH_ASSIGN_OR_RETURN(node, finish(tokens_, std::move(node)));
  if (!is_negated) return node;
  Parts parts;
  parts.push_back(std::move(node));
  return make(ExpressionKind::kNot, at, std::move(parts));
}

}  // namespace longhaul::jinja
