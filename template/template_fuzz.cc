// Hostile templates and hostile conversations. Up to the first zero byte the input is a template, the
// rest is what a message says. Whatever happens must be an Error or a text within the limits, in
// which no byte of the message counts as the template's.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "template/template.h"

namespace longhaul::jinja {
namespace {

constexpr char kMark = '\x01';  // around what the message says

Value variables(std::string_view said) {
  const std::string content = kMark + std::string(said) + kMark;
  const auto dict = [](std::vector<Entry> entries) { return *Value::dict(std::move(entries)); };
  const Value call =
      dict({{Value::data("name"), Value::data(content)}, {Value::data(content), Value::real(1.5)}});
  const Value message = dict({{Value::data("role"), Value::data("user")},
                              {Value::data("content"), Value::data(content)},
                              {Value::data("tool_calls"), *Value::list({call, Value::none()})}});
  return dict({{Value::own("messages"), *Value::list({message, message})},
               {Value::own("bos_token"), Value::own("<s>")},
               {Value::own("n"), Value::integer(3)},
               {Value::own("yes"), Value::boolean(true)}});
}

void check_origin(const Text& text) {
  const std::string_view bytes = text.bytes();
  size_t behind = 0;  // the last range
  for (const TextRange range : text.data()) {
    LH_CHECK(range.begin < range.end && range.end <= bytes.size());
    LH_CHECK(behind == 0 || range.begin > behind);
    LH_CHECK(bytes.substr(behind, range.begin - behind).find(kMark) == std::string_view::npos);
    behind = range.end;
  }
  LH_CHECK(bytes.substr(behind).find(kMark) == std::string_view::npos);
}

void fuzz(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view source = input.substr(0, end);
  const std::string_view said = input.substr(std::min(end + 1, input.size()));
  const auto parsed = Template::parse(source);
  if (!parsed) {
    LH_CHECK(parsed.error().message.find("line ") != std::string::npos);
    return;
  }
  Template::Options options;
  options.limits = {
      .steps = 20'000, .memory_bytes = 1 << 20, .output_bytes = 1 << 16, .depth = 200};
  const auto text = parsed->render(variables(said), options);
  if (!text) {
    LH_CHECK(text.error().message.find("line ") != std::string::npos);
    return;
  }
  LH_CHECK(text->size() <= options.limits.output_bytes);
  // A template that writes the mark itself says nothing of where it comes from.
  if (source.find(kMark) == std::string_view::npos && source.find('\\') == std::string_view::npos)
    check_origin(*text);
}

}  // namespace
}  // namespace longhaul::jinja

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  longhaul::jinja::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
