#include "template/template.h"

#include "template/lexer.h"
#include "template/parser.h"
#include "template/rendering.h"

namespace longhaul::jinja {

struct Template::Parsed {
  std::string source;
  Block block;
};

Template::Template(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view source) {
  auto parsed = std::make_unique<Parsed>();
  parsed->source = normalize_source(source);
  LH_ASSIGN_OR_RETURN(parsed->block, jinja::parse(parsed->source));
  return Template(std::move(parsed));
}

const std::string& Template::source() const { return parsed_->source; }

Result<Text> Template::render(const Value& variables, const Options& options) const {
  const Dict* dict = variables.as_dict();
  if (dict == nullptr)
    return bad_input("expected the variables as a dict, found {}", variables.type_name());
  return Rendering(parsed_->source, options.limits, options.now).run(parsed_->block, *dict);
}

}  // namespace longhaul::jinja
