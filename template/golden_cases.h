// The cases that tools/jinja_oracle.py writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "template/value.h"

namespace longhaul::jinja {

struct GoldenCase {
  std::string name;
  std::string source;
  Value variables;
  std::optional<std::string> output;  // nothing: Jinja2 refused
  std::string error;                  // in its words
};

// Fails the test where the file is none of that kind.
std::vector<GoldenCase> read_golden_cases(const std::string& path);

// At the time that the oracle knows.
Result<Text> render_case(const GoldenCase& one);

}  // namespace longhaul::jinja
