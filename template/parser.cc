#include "template/parser.h"

#include <algorithm>
#include <span>
#include <utility>

#include "template/expression_parser.h"
#include "template/token_stream.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kMaxBlocks = 60;  // within each other

class Parser {
 public:
  Parser(std::string_view source, std::vector<Token> tokens)
      : tokens_(source, std::move(tokens)), expressions_(tokens_) {}

  Result<Block> run() { return parse_block({}); }

 private:
  using Names = std::initializer_list<std::string_view>;
  using StatementParser = Status (Parser::*)(Statement&);
  struct Tag {
    std::string_view name;
    StatementKind kind;
    StatementParser parse;
  };
  static std::span<const Tag> tags();

  bool sees_tag(Names names) const {
    if (!tokens_.peek().is(TokenKind::kBegin, "%") || tokens_.peek(1).kind != TokenKind::kName)
      return false;
    return std::find(names.begin(), names.end(), tokens_.peek(1).text) != names.end();
  }

  // Statements up to one of the tags named, which stays, or the end of the template.
  Result<Block> parse_block(Names ends) {
    if (depth_ == kMaxBlocks)
      return tokens_.fail_at(tokens_.peek().at,
                             fmt::format("expected blocks at most {} deep", kMaxBlocks));
    ++depth_;
    Block block;
    while (tokens_.peek().kind != TokenKind::kSourceEnd && !sees_tag(ends)) {
      LH_ASSIGN_OR_RETURN(Statement statement, parse_statement());
      block.push_back(std::move(statement));
    }
    --depth_;
    return block;
  }

  Result<Statement> parse_statement() {
    const Token token = tokens_.take();
    Statement statement{StatementKind::kText, token.at, {}, {}, {}, {}, {}, {}, {}, {}};
    if (token.kind == TokenKind::kText) {
      statement.text = Text::own(token.text);
    } else if (token.text == "}") {
      statement.kind = StatementKind::kOutput;
      LH_ASSIGN_OR_RETURN(statement.value, expressions_.tuple());
      LH_RETURN_IF_ERROR(tokens_.expect(TokenKind::kEnd, "}"));
    } else {
      LH_RETURN_IF_ERROR(parse_tag(statement));
    }
    return statement;
  }

  Status parse_tag(Statement& statement) {
    const Token& token = tokens_.peek();
    for (const Tag& tag : tags()) {
      if (!tokens_.sees_name(tag.name)) continue;
      tokens_.take();
      statement.kind = tag.kind;
      return (this->*tag.parse)(statement);
    }
    std::string known;
    for (const Tag& tag : tags()) known += (known.empty() ? "" : ", ") + std::string(tag.name);
    return tokens_.fail(token.kind == TokenKind::kName ? "one of the tags " + known
                                                       : "a tag's name");
  }

  Status end_tag() { return tokens_.expect(TokenKind::kEnd, "%"); }

  // The body of a tag with variables of its own, behind the tag's beginning, and the end tag.
  Status parse_body(Block& body, std::string_view end) {
    LH_RETURN_IF_ERROR(end_tag());
    ++n_scopes_;
    LH_ASSIGN_OR_RETURN(body, parse_block({end}));
    --n_scopes_;
    return close(end);
  }

  // The tag `name` without anything in it.
  Status close(std::string_view name) {
    if (!sees_tag({name})) return tokens_.fail(fmt::format("{{% {} %}}", name));
    tokens_.take();
    tokens_.take();
    return end_tag();
  }

  Status parse_if(Statement& statement) {
    for (bool has_condition = true;;) {
      Branch branch;
      if (has_condition) {
        LH_ASSIGN_OR_RETURN(branch.condition, expressions_.tuple(false));
      }
      LH_RETURN_IF_ERROR(end_tag());
      if (has_condition) {
        LH_ASSIGN_OR_RETURN(branch.body, parse_block({"elif", "else", "endif"}));
      } else {
        LH_ASSIGN_OR_RETURN(branch.body, parse_block({"endif"}));
      }
      statement.branches.push_back(std::move(branch));
      if (!has_condition || !sees_tag({"elif", "else"})) return close("endif");
      tokens_.take();
      has_condition = tokens_.take().text == "elif";
    }
  }

  Status parse_for(Statement& statement) {
    LH_RETURN_IF_ERROR(parse_target(statement.target, false));
    if (!tokens_.skip_name("in")) return tokens_.fail("'in'");
    LH_ASSIGN_OR_RETURN(statement.value, expressions_.tuple(false));
    if (tokens_.skip_name("if")) {
      LH_ASSIGN_OR_RETURN(statement.condition, expressions_.expression());
    }
    if (tokens_.sees_name("recursive"))
      return tokens_.fail("the tag's end (recursive loops are not supported)");
    LH_RETURN_IF_ERROR(end_tag());
    ++n_loops_;
    ++n_scopes_;
    LH_ASSIGN_OR_RETURN(statement.body, parse_block({"else", "endfor"}));
    --n_loops_;
    if (sees_tag({"else"})) {
      tokens_.take();
      tokens_.take();
      LH_RETURN_IF_ERROR(end_tag());
      LH_ASSIGN_OR_RETURN(statement.otherwise, parse_block({"endfor"}));
    }
    --n_scopes_;
    return close("endfor");
  }

  Status parse_target(Target& target, bool may_have_attribute) {
    const bool has_parentheses = tokens_.skip_operator("(");
    do {
      if (!target.names.empty() && tokens_.peek().kind != TokenKind::kName) break;
      LH_ASSIGN_OR_RETURN(std::string name, tokens_.take_name());
      target.names.push_back(std::move(name));
      if (may_have_attribute && target.names.size() == 1 && tokens_.skip_operator(".")) {
        LH_ASSIGN_OR_RETURN(target.attribute, tokens_.take_name());
        return {};
      }
      target.is_tuple = target.is_tuple || tokens_.sees_operator(",");
    } while (tokens_.skip_operator(","));
    return has_parentheses ? tokens_.expect_operator(")") : Status();
  }

  Status parse_set(Statement& statement) {
    LH_RETURN_IF_ERROR(parse_target(statement.target, true));
    if (tokens_.skip_operator("=")) {
      LH_ASSIGN_OR_RETURN(statement.value, expressions_.tuple());
      return end_tag();
    }
    statement.kind = StatementKind::kSetBlock;
    if (tokens_.skip_operator("|")) {
      LH_ASSIGN_OR_RETURN(statement.value, expressions_.filters(nullptr));
    }
    return parse_apart(statement.body, "endset");
  }

  // `(a, b=1)`, or with other brackets around.
  Status parse_parameters(std::vector<Parameter>& parameters) {
    while (!tokens_.skip_operator(")")) {
      if (!parameters.empty()) LH_RETURN_IF_ERROR(tokens_.expect_operator(","));
      if (tokens_.skip_operator(")")) break;
      Parameter parameter;
      LH_ASSIGN_OR_RETURN(parameter.name, tokens_.take_name());
      if (tokens_.skip_operator("=")) {
        LH_ASSIGN_OR_RETURN(parameter.default_value, expressions_.expression());
      } else if (!parameters.empty() && parameters.back().default_value) {
        return tokens_.fail("a default, as parameters before have one");
      }
      parameters.push_back(std::move(parameter));
    }
    return {};
  }

  Status parse_macro(Statement& statement) {
    if (n_scopes_ > 0)
      return tokens_.fail_at(statement.at,
                             "a macro within a loop, macro or block with variables of "
                             "its own is not supported");
    LH_ASSIGN_OR_RETURN(std::string name, tokens_.take_name());
    statement.target.names.push_back(std::move(name));
    LH_RETURN_IF_ERROR(tokens_.expect_operator("("));
    LH_RETURN_IF_ERROR(parse_parameters(statement.parameters));
    return parse_apart(statement.body, "endmacro");
  }

  Status parse_call(Statement& statement) {
    if (tokens_.skip_operator("(")) LH_RETURN_IF_ERROR(parse_parameters(statement.parameters));
    LH_ASSIGN_OR_RETURN(statement.value, expressions_.expression());
    if (statement.value->kind != ExpressionKind::kCall) return tokens_.fail("a call");
    return parse_apart(statement.body, "endcall");
  }

  // A body that cannot leave a loop around it.
  Status parse_apart(Block& body, std::string_view end) {
    const size_t n_loops = std::exchange(n_loops_, 0);
    LH_RETURN_IF_ERROR(parse_body(body, end));
    n_loops_ = n_loops;
    return {};
  }

  Status parse_filter(Statement& statement) {
    LH_ASSIGN_OR_RETURN(statement.value, expressions_.filters(nullptr));
    return parse_apart(statement.body, "endfilter");
  }

  Status parse_with(Statement& statement) {
    while (tokens_.peek().kind != TokenKind::kEnd) {
      if (!statement.parameters.empty()) LH_RETURN_IF_ERROR(tokens_.expect_operator(","));
      Parameter parameter;
      LH_ASSIGN_OR_RETURN(parameter.name, tokens_.take_name());
      LH_RETURN_IF_ERROR(tokens_.expect_operator("="));
      LH_ASSIGN_OR_RETURN(parameter.default_value, expressions_.expression());
      statement.parameters.push_back(std::move(parameter));
    }
    return parse_body(statement.body, "endwith");
  }

  // Marks what a trainer learns from; for us its text alone.
  Status parse_generation(Statement& statement) {
    return parse_apart(statement.body, "endgeneration");
  }

  Status parse_jump(Statement& statement) {
    if (n_loops_ == 0) return tokens_.fail_at(statement.at, "expected a loop around, found none");
    return end_tag();
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  size_t depth_ = 0;
  size_t n_loops_ = 0;   // around what is read, that it may leave
  size_t n_scopes_ = 0;  // around what is read
};

std::span<const Parser::Tag> Parser::tags() {
  static constexpr Tag kTags[] = {
      {"if", StatementKind::kIf, &Parser::parse_if},
      {"for", StatementKind::kFor, &Parser::parse_for},
      {"set", StatementKind::kSet, &Parser::parse_set},
      {"macro", StatementKind::kMacro, &Parser::parse_macro},
      {"call", StatementKind::kCall, &Parser::parse_call},
      {"filter", StatementKind::kFilter, &Parser::parse_filter},
      {"with", StatementKind::kWith, &Parser::parse_with},
      {"generation", StatementKind::kScope, &Parser::parse_generation},
      {"break", StatementKind::kBreak, &Parser::parse_jump},
      {"continue", StatementKind::kContinue, &Parser::parse_jump},
  };
  return kTags;
}

}  // namespace

Result<Block> parse(std::string_view source) {
  LH_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(source));
  return Parser(source, std::move(tokens)).run();
}

}  // namespace longhaul::jinja
