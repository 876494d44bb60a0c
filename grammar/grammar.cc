#include "longhaul/grammar.h"

#include "grammar/automaton.h"
#include "grammar/gbnf_parser.h"
#include "grammar/schema.h"

namespace longhaul {
namespace {

Result<std::shared_ptr<const Grammar>> compiled(const grammar::Syntax& syntax,
                                                grammar::RuleId root) {
  LH_ASSIGN_OR_RETURN(grammar::Automaton automaton, grammar::compile(syntax, root));
  return std::make_shared<const Grammar>(std::move(automaton));
}

}  // namespace

Result<std::shared_ptr<const Grammar>> parse_gbnf(std::string_view text) {
  grammar::Syntax syntax;
  LH_ASSIGN_OR_RETURN(const grammar::RuleId root, grammar::parse_gbnf_rules(text, syntax));
  return compiled(syntax, root);
}

Result<std::shared_ptr<const Grammar>> grammar_of_schema(std::string_view schema, JsonSpace space) {
  grammar::Syntax syntax;
  LH_ASSIGN_OR_RETURN(const grammar::RuleId root, grammar::add_schema(schema, space, syntax));
  return compiled(syntax, root);
}

Result<std::shared_ptr<const Grammar>> grammar_of_json_object() {
  return grammar_of_schema(R"({"type": "object"})");
}

}  // namespace longhaul
