// Limits, errors, and the origin of bytes. What templates mean is in golden_test.cc.
#include "template/template.h"

#include <gtest/gtest.h>

#include "template/json.h"

namespace longhaul::jinja {
namespace {

Result<Text> render(std::string_view source, const Limits& limits = {}) {
  LH_ASSIGN_OR_RETURN(const Template parsed, Template::parse(source));
  const auto variables = Value::dict({{Value::own("said"), Value::data("<a>")},
                                      {Value::own("n"), Value::integer(3)},
                                      {Value::own("bos"), Value::own("<s>")}});
  return parsed.render(*variables, {.limits = limits, .now = {}});
}

std::string error_of(std::string_view source, const Limits& limits = {}) {
  const auto text = render(source, limits);
  EXPECT_FALSE(text) << source;
  return text ? "" : text.error().message;
}

// The text with what is data in brackets.
std::string shown(std::string_view source) {
  const auto text = render(source);
  EXPECT_TRUE(text) << source << ": " << text.error().message;
  if (!text) return "";
  std::string out;
  for (size_t i = 0; i < text->size(); ++i) {
    if (text->is_data(i) && (i == 0 || !text->is_data(i - 1))) out += '[';
    out += text->bytes()[i];
    if (text->is_data(i) && (i + 1 == text->size() || !text->is_data(i + 1))) out += ']';
  }
  return out;
}

TEST(TemplateTest, EveryByteKeepsItsOrigin) {
  const std::pair<const char*, const char*> cases[] = {
      {"x{{ said }}y{{ bos }}", "x[<a>]y<s>"},
      {"{{ 'x' ~ said ~ n }}", "x[<a>3]"},
      {"{{ ('x' ~ said ~ 'y')[1:] }}", "[<a>]y"},
      {"{{ ('x' ~ said ~ 'y')[::-1] }}", "y[>a<]x"},
      {"{{ said | replace('a', 'b') }}", "[<]b[>]"},
      {"{{ 'abc' | replace('b', said) }}", "a[<a>]c"},
      {"{{ ('A' ~ said) | lower }}", "a[<a>]"},
      {"{{ ('a' ~ said) | upper }}", "A[<A>]"},
      {"{{ (' ' ~ said ~ ' ') | trim }}", "[<a>]"},
      {"{{ [said, 'x'] | join('-') }}", "[<a>]-x"},
      {"{{ ('x-' ~ said).split('-') | join('+') }}", "x+[<a>]"},
      {"{{ [said, 'x'] | tojson }}", "[[\"<a>\", \"]x[\"]]"},
      {"{{ {'x': said} | tojson }}", "[{\"]x[\": \"<a>\"}]"},
      {"{{ [said, 'x'] }}", "[['<a>', ']x[']]"},
      {"{{ 'é\n' ~ said | tojson }}", "é\n[\"<a>\"]"},
      {"{{ 'x%s'.format(1) ~ '{}y'.format(said) }}", "x%s[<a>]y"},
      {"{{ 'a\nb' | indent(2) }}", "a[\n]  b"},
      {"{% set x %}a{{ said }}{% endset %}{{ x }}", "a[<a>]"},
      {"{% macro f(x) %}({{ x }}){% endmacro %}{{ f(said) }}{{ f('y') }}", "([<a>])(y)"},
      {"{{ said if said else 'x' }}{{ none or 'x' }}", "[<a>]x"},
      {"{{ true }}{{ none }}{{ 1.5 }}", "[TrueNone1.5]"},
      {"{% for c in 'x' ~ said %}{{ c }},{% endfor %}", "x,[<],[a],[>],"},
      {"{{ said.partition('a') | join }}", "[<a>]"},
      {"{{ {'k': 'v'}[said[1:2] | replace('a', 'k')] }}", "v"},
  };
  for (const auto& [source, expected] : cases) EXPECT_EQ(shown(source), expected) << source;
}

TEST(TemplateTest, NothingRunsForEverOrTakesMemoryWithoutEnd) {
  const Limits limits{
      .steps = 100'000, .memory_bytes = 1 << 20, .output_bytes = 1 << 16, .depth = 300};
  const std::pair<const char*, const char*> cases[] = {
      {"{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "too"},
      {"{% for a in range(99999) %}{% set x = a %}{% endfor %}", "too"},
      {"{% for a in range(9000) %}{{ '0123456789' }}{% endfor %}", "writes too much"},
      {"{{ 'x' * 99999999999 }}", "too much memory"},
      {"{{ [0] * 99999999999 }}", "too much memory"},
      {"{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% "
       "endfor %}",
       "too much memory"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% "
       "endfor %}",
       "too much memory"},
      {"{% set ns = namespace(x=[]) %}{% for i in range(200) %}{% set ns.x = [ns.x] %}{% endfor %}",
       "nested at most 100 deep"},
      // A list of 2^50 items that share their memory: looked at, it would never end.
      {"{% set ns = namespace(x=[1]) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% "
       "endfor %}"
       "{{ ns.x == ns.x + [] }}{{ ns.x | tojson | length }}",
       "too"},
      {"{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}"
       "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
       "takes too long"},
      {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "cannot be printed"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "300 deep"},
      {"{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
       "deep"},
      {"{{ 'a' | indent(99999999999) }}", "too much memory"},
      {"{{ 'a' | center(99999999999) }}", "too much memory"},
      {"{{ [1] | batch(99999999999, 0) | list }}", "too much memory"},
      {"{{ ('a,' * 50000).split(',') }}", "too much memory"},
      {"{{ range(100000) | list | unique | list }}", "too"},
  };
  for (const auto& [source, part] : cases) {
    const std::string message = error_of(source, limits);
    EXPECT_NE(message.find(part), std::string::npos) << source << ": " << message;
    EXPECT_EQ(message.find("line 1, column "), 0U) << message;
  }
}

TEST(TemplateTest, SourcesNestedTooDeepAreRefused) {
  const auto repeated = [](std::string_view part, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += part;
    return text;
  };
  const std::string brackets = repeated("(", 5000) + "1" + repeated(")", 5000);
  EXPECT_NE(error_of("{{ " + brackets + " }}").find("200 deep"), std::string::npos);
  EXPECT_NE(error_of("{{ " + repeated("-", 5000) + "1 }}").find("200 deep"), std::string::npos);
  EXPECT_NE(error_of("{{ 1" + repeated(" + 1", 5000) + " }}").find("200 deep"), std::string::npos);
  EXPECT_NE(error_of("{{ x" + repeated(".x", 5000) + " }}").find("200 deep"), std::string::npos);
  const std::string lists = repeated("[", 5000) + repeated("]", 5000);
  EXPECT_NE(error_of("{{ " + lists + " }}").find("200 deep"), std::string::npos);
  EXPECT_NE(error_of("{{ " + repeated("not ", 5000) + "1 }}").find("200 deep"), std::string::npos);
  EXPECT_NE(error_of(repeated("{% if 1 %}", 5000)).find("60 deep"), std::string::npos);
  EXPECT_EQ(shown("{{ 1" + repeated(" + 1", 150) + " }}"), "[151]");
}

TEST(TemplateTest, ErrorsNameLineAndColumn) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\nb {{ 1 / 0 }}", "line 2, column 8: division by zero"},
      {"{{ range(100001) }}", "line 1, column 9: range: expected at most 100000 numbers"},
      {"é {{ x.y }}", "line 1, column 7: 'x' is undefined"},
      {"{% if %}", "line 1, column 7: expected an expression, found the tag's end"},
      {"{% for a in b %}", "line 1, column 17: expected {% endfor %}, found the template's end"},
      {"{{ a", "line 1, column 1: expected }} at the tag's end, found none"},
      {"{{ 'a }}", "line 1, column 4: expected ' at the string's end, found none"},
      {"{{ a ? b }}", "line 1, column 6: unexpected character '?'"},
      {"{{ (a] }}", "line 1, column 6: unexpected ']'"},
      {"{% include 'x' %}", "line 1, column 4: expected one of the tags if, for,"},
      {"{{ said | pprint }}", "line 1, column 11: filter 'pprint' is not supported"},
      {"{{ said.zfill(3) }}", "line 1, column 14: zfill() is not supported"},
      {"{{ said is odd }}", "line 1, column 9: formatting by % is not supported"},
      {"{{ raise_exception('no ' ~ said) }}",
       "line 1, column 19: the template refuses this conversation: no <a>"},
      {"{% macro f(a) %}{{ a.b.c }}{% endmacro %}\n{{ f({}) }}",
       "line 1, column 23: 'b' is undefined"},
      {"{% for i in [1] %}{% macro f() %}{% endmacro %}{% endfor %}",
       "line 1, column 19: a macro within a loop"},
      {"{{ said.join(said, x=1) }}", "line 1, column 13: join: unexpected argument 'x'"},
      {"{{ 9223372036854775807 + 1 }}", "line 1, column 24: expected a whole number of 64 bits"},
      {"{{ 9223372036854775808 }}", "line 1, column 4: expected an integer of 64 bits"},
  };
  for (const auto& [source, expected] : cases)
    EXPECT_EQ(error_of(source).find(expected), 0U) << source << ": " << error_of(source);
}

// What a body saw is gone when its call is over.
TEST(TemplateTest, ACallerThatWasKeptCannotBeCalled) {
  EXPECT_NE(
      error_of("{% set ns = namespace() %}{% macro f() %}{% set ns.c = caller %}{% endmacro %}"
               "{% call f() %}x{% endcall %}{{ ns.c() }}")
          .find("its call was over"),
      std::string::npos);
}

TEST(JsonTest, ReadsWhatItWrites) {
  const std::string text =
      R"({"b": 1, "a": [1.0, -2e-07, null, true, "é\"\\\n"], "b2": {"": []}, "n": -9223372036854775808})";
  const auto value = read_json(text);
  ASSERT_TRUE(value) << value.error().message;
  Budget budget{Limits()};
  Writer out(budget);
  ASSERT_TRUE(write_json(out, *value, {}));
  EXPECT_EQ(out.take().bytes(), text);
}

TEST(JsonTest, RefusesWhatItCannotHold) {
  EXPECT_FALSE(read_json(""));
  EXPECT_FALSE(read_json("[1] 2"));
  EXPECT_FALSE(read_json("{\"a\": }"));
  EXPECT_NE(read_json("9223372036854775808").error().message.find("64 bits"), std::string::npos);
  EXPECT_NE(read_json(std::string(200, '[')).error().message.find("100 deep"), std::string::npos);
  EXPECT_FALSE(read_json("\"\xFF\""));
  // The last of several entries with one key holds, in the place of the first.
  EXPECT_EQ(read_json(R"({"a": 1, "b": 2, "a": 3})")->as_dict()->entries.size(), 2U);
  EXPECT_EQ(*read_json(R"({"a": 1, "b": 2, "a": 3})")->as_dict()->find("a")->as_integer(), 3);
}

}  // namespace
}  // namespace longhaul::jinja
