// Chat templates in Jinja, as models bring them: parsed once, rendered with the origin of every byte.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "template/limits.h"
#include "template/value.h"

namespace longhaul::jinja {

// Immutable and safe to use from several threads. Move-only.
class Template {
 public:
  // trim_blocks and lstrip_blocks are on, the tags break, continue and generation known. Error:
  // what Jinja cannot parse or this subset does not have, with line and column.
  static Result<Template> parse(std::string_view source);

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // What it was parsed from, line ends settled.
  const std::string& source() const;

  struct Options {
    Limits limits = {};
    std::tm now = {};  // what strftime_now() tells, in local time
  };
  // `variables` is a dict by name. Texts in it may be data or the template's own (Value::own), such
  // as the names of control tokens. Error: raised by the template, a limit reached, or what Jinja
  // refuses, with line and column.
  Result<Text> render(const Value& variables, const Options& options) const;

 private:
  struct Parsed;
  explicit Template(std::unique_ptr<const Parsed> parsed);
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace longhaul::jinja
