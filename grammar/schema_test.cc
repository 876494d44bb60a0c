// JSON schemas: what differs from the golden files' oracle, white space, and what is refused in
// words.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/machine.h"
#include "longhaul/grammar.h"

namespace longhaul {
namespace {

bool accepts(std::string_view schema, std::string_view text, JsonSpace space = JsonSpace::kSome) {
  const auto grammar = grammar_of_schema(schema, space);
  EXPECT_TRUE(grammar) << schema << "\n" << (grammar ? "" : grammar.error().message);
  if (!grammar) return false;
  grammar::Machine machine((*grammar)->automaton());
  grammar::PlaceId place = machine.start();
  for (const char byte : text) place = machine.step(place, static_cast<uint8_t>(byte));
  return machine.may_end(place);
}

void expect_texts(std::string_view schema, std::initializer_list<const char*> in,
                  std::initializer_list<const char*> out) {
  for (const char* text : in) EXPECT_TRUE(accepts(schema, text)) << schema << " " << text;
  for (const char* text : out) EXPECT_FALSE(accepts(schema, text)) << schema << " " << text;
}

void expect_words(std::string_view schema, std::initializer_list<const char*> words) {
  const auto grammar = grammar_of_schema(schema);
  ASSERT_FALSE(grammar) << schema;
  for (const char* word : words) {
    EXPECT_NE(grammar.error().message.find(word), std::string::npos) << schema << "\n"
                                                                     << grammar.error().message;
  }
}

TEST(Schema, WhiteSpaceIsAllowedAndBounded) {
  constexpr const char* kPair =
      R"({"type": "array", "prefixItems": [{"type": "object", "properties": {"a": {}},
          "required": ["a"], "additionalProperties": false}], "minItems": 2})";
  expect_texts(kPair,
               {R"([{"a":1},2])", R"([{"a": 1}, 2])", "[\n  {\n    \"a\": 1\n  },\n  2\n]",
                "[ { \"a\": 1 }, 2 ]"},
               {"[{\"a\":  1},2]", "[\n\n{\"a\":1},2]", "[{\"a\" :1},2]", "[{\"a\":1} ,2]",
                " [{\"a\":1},2]"});
  EXPECT_FALSE(accepts("{}", "[1, 2]", JsonSpace::kNone));
}

TEST(Schema, CharactersComeInEveryForm) {
  expect_texts(R"({"type": "string"})",
               {R"("\/")", R"("\u00e9\u00E9")", R"("\ud83d\uDE00")", "\"\x7F\""},
               {R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", R"("\u00g0")", "\"\xFF\""});
  // A pair is one character.
  expect_texts(R"({"type": "string", "maxLength": 1})", {R"("\ud83d\ude00")", R"("\n")", "\"\""},
               {R"("ab")", R"("\u0041b")"});
}

TEST(Schema, PatternsAreOfWhatTheTextSays) {
  expect_texts(R"({"type": "string", "pattern": "^[\"\\\\\n]+$"})", {R"("\"\\\n")"},
               {"\"\"\"", R"("\u0022")"});
  expect_texts(R"({"type": "string", "pattern": "^\\S+@\\S+$"})", {R"("a@b")"}, {R"("a @b")"});
  expect_texts(R"({"type": "string", "pattern": "^a|b$"})", {R"("axx")", R"("xxb")"}, {R"("xax")"});
  expect_texts(R"({"type": "string", "pattern": "^(?<year>\\d{4})-\\x41\\u0042.+?$"})",
               {R"("2024-ABc")"}, {R"("2024-AB")"});
  expect_texts(R"({"type": "string", "pattern": "^[^a-z\\d_]{2}$"})", {R"("A-")", R"("é\n")"},
               {R"("a-")", R"("A1")"});
  for (const char* bad : {"(?=a)", "\\\\1", "\\\\bword", "a^b", "(a$)b", "\\\\p{L}", "a**", "[b-a]",
                          "(a", "a)", "(?i)a", "{2}"}) {
    expect_words(fmt::format(R"({{"type": "string", "pattern": "{}"}})", bad), {"#/pattern: "});
  }
}

// Every whole number of a window, with random bounds.
TEST(Schema, RangesOfWholeNumbersAreExact) {
  uint64_t seed = 3;
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(split_mix64(seed) % n); };
  for (int i = 0; i < 40; ++i) {
    const int64_t low = below(2400) - 1200, high = low + below(i % 4 == 0 ? 3 : 1300);
    const auto grammar = grammar_of_schema(
        fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", low, high));
    ASSERT_TRUE(grammar);
    grammar::Machine machine((*grammar)->automaton());
    for (int64_t n = -2600; n <= 2600; ++n) {
      grammar::PlaceId place = machine.start();
      for (const char byte : std::to_string(n))
        place = machine.step(place, static_cast<uint8_t>(byte));
      ASSERT_EQ(machine.may_end(place), low <= n && n <= high) << n << " " << low << " " << high;
    }
  }
  expect_texts(R"({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 3})", {"1", "2"},
               {"0", "3"});
  expect_texts(R"({"type": "integer", "minimum": -1.5, "maximum": -0.5})", {"-1"}, {"-2", "0"});
  expect_texts(R"({"type": "integer", "minimum": 999999999999999999})",
               {"999999999999999999", "1000000000000000000"}, {"999999999999999998"});
}

// Every hundredth of a window, written with and without zeros behind it.
TEST(Schema, RangesOfNumbersAreExact) {
  uint64_t seed = 4;
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(split_mix64(seed) % n); };
  const auto written = [](int64_t hundredths) {
    const int64_t size = std::abs(hundredths);
    std::string text = fmt::format("{}{}.{:02}", hundredths < 0 ? "-" : "", size / 100, size % 100);
    return text;
  };
  for (int i = 0; i < 40; ++i) {
    const int64_t low = below(600) - 300, high = low + below(i % 4 == 0 ? 20 : 500);
    const bool is_open = i % 3 == 0;
    const auto grammar = grammar_of_schema(fmt::format(
        R"({{"type": "number", "{}": {}, "{}": {}}})", is_open ? "exclusiveMinimum" : "minimum",
        written(low), is_open ? "exclusiveMaximum" : "maximum", written(high)));
    if (!grammar) {
      EXPECT_TRUE(is_open && low == high) << grammar.error().message;
      continue;
    }
    grammar::Machine machine((*grammar)->automaton());
    const auto accepted = [&](const std::string& text) {
      grammar::PlaceId place = machine.start();
      for (const char byte : text) place = machine.step(place, static_cast<uint8_t>(byte));
      return machine.may_end(place);
    };
    for (int64_t n = -900; n <= 900; ++n) {
      const bool expected = is_open ? low < n && n < high : low <= n && n <= high;
      const std::string text = written(n);
      ASSERT_EQ(accepted(text), expected) << text << " " << low << " " << high;
      ASSERT_EQ(accepted(text + "00"), expected) << text << "00 " << low << " " << high;
      if (n % 100 != 0) continue;
      ASSERT_EQ(accepted(text.substr(0, text.size() - 3)), expected) << text << " whole";
    }
  }
}

TEST(Schema, OtherNamesAreNotThoseOfProperties) {
  constexpr const char* kSchema =
      R"({"type": "object", "properties": {"ab": {"type": "null"}, "a\"": {"type": "null"}},
          "additionalProperties": {"type": "integer"}})";
  expect_texts(kSchema,
               {R"({"ab": null, "abc": 1})", R"({"a": 1})", R"({"": 1})", R"({"a\"": null})",
                R"({"a\"b": 1, "b": 2})"},
               {R"({"ab": 1})", R"({"a\"": 1})", R"({"\u0061b": 1})", R"({"a\u0062": 1})"});
}

TEST(Schema, WithoutATypeTheKeywordsTell) {
  expect_texts(R"({"properties": {"a": {"type": "null"}}})", {R"({"a": null})", "{}"}, {"1"});
  expect_texts(R"({"minimum": 3, "minLength": 2})", {"3", R"("ab")"}, {"2", R"("a")", "null"});
  expect_texts(R"({"title": "anything", "x-other": 1})", {"1", "{}"}, {""});
}

TEST(Schema, SchemasAreJoinedWhereTheyCanBe) {
  expect_texts(R"({"allOf": [{"type": ["integer", "string"]}, {"type": "number", "minimum": 2}]})",
               {"2"}, {"1", R"("a")", "2.5"});
  expect_texts(R"({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n", "minimum": 5})", {"5"},
               {"4"});
  expect_texts(R"({"type": "object", "properties": {"a": {"$ref": "#/$defs/~1x~0%"}},
                   "additionalProperties": false, "$defs": {"/x~%": {"const": 1}}})",
               {R"({"a": 1})"}, {R"({"a": 2})"});
  expect_texts(R"({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]})", {"2", "3"}, {"1", "4"});
  expect_words(R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})", {"pattern", "joined"});
  expect_words(R"({"allOf": [{"properties": {"a": {}}, "additionalProperties": false},
                             {"properties": {"b": {}}}]})",
               {"additionalProperties", "'b'"});
}

TEST(Schema, WhatIsNotSupportedIsNamedByItsPath) {
  expect_words(R"({"properties": {"a": {"items": {"not": {}}}}})", {"#/properties/a/items/not"});
  expect_words(R"({"$defs": {"x": {"if": {}}}, "$ref": "#/$defs/x"})", {"#/$defs/x/if"});
  expect_words(R"({"type": "array", "uniqueItems": true})", {"#/uniqueItems", "true"});
  expect_words(R"({"type": "number", "multipleOf": 0.01})", {"#/multipleOf", "0.01"});
  expect_words(R"({"type": "string", "format": "iri"})", {"#/format", "date-time", "iri"});
  expect_words(R"({"type": "string", "pattern": "a", "maxLength": 3})", {"#", "one"});
  expect_words(R"({"patternProperties": {"a": {}}})", {"#/patternProperties"});
  expect_words(R"({"anyOf": [{"type": "strin"}]})", {"#/anyOf/0/type", "strin"});
  expect_words(R"({"$ref": "https://example.com/x"})", {"#/$ref", "example.com"});
  expect_words(R"({"$ref": "#/$defs/none"})", {"#/$ref", "none"});
  expect_words(R"({"required": "a"})", {"#/required"});
  expect_words(R"({"minItems": -1})", {"#/minItems", "-1"});
  expect_words(R"({"minLength": 3, "maxLength": 2})", {"#/maxLength"});
  expect_words(R"({"enum": [1], "minimum": 0})", {"#/minimum", "enum"});
  expect_words(R"({"type": "object", "minProperties": 2})", {"#/minProperties"});
}

TEST(Schema, WhatNothingCanBeIsRefused) {
  expect_words("false", {"nothing matches '#'"});
  expect_words(R"({"type": "integer", "minimum": 3, "maximum": 2})", {"nothing"});
  expect_words(R"({"required": ["a"], "additionalProperties": false})", {"nothing"});
  expect_words(R"({"$ref": "#"})", {"nothing matches '#'"});
  expect_words(R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", {"'#'", "left recursion"});
  expect_words("{", {"JSON"});
  expect_words("[1]", {"#", "schema"});
  expect_words(std::string(500, '['), {"levels"});
  // What may be left out and can be nothing is left out.
  expect_texts(
      R"({"properties": {"a": false, "b": {"type": "null"}}, "additionalProperties": false})",
      {"{}", R"({"b": null})"}, {R"({"a": 1})"});
}

TEST(Schema, LargeOnesCompileAndEndlessOnesAreRefused) {
  std::string properties, names;
  for (int i = 0; i < 300; ++i) {
    properties +=
        fmt::format(R"({}"property_{}": {{"type": ["string", "null"]}})", i == 0 ? "" : ", ", i);
  }
  const std::string schema = R"({"type": "object", "properties": {)" + properties + "}";
  EXPECT_TRUE(grammar_of_schema(schema + R"(, "additionalProperties": false})"));
  const auto open = grammar_of_schema(schema + "}");
  EXPECT_TRUE(open) << open.error().message;
  // Each level joins the one below twice.
  std::string levels = R"("a0": {"type": "integer"})";
  for (int i = 1; i < 30; ++i) {
    const std::string below = fmt::format(R"({{"$ref": "#/$defs/a{}", "minimum": )", i - 1);
    levels += fmt::format(R"(, "a{}": {{"anyOf": [{}1}}, {}2}}]}})", i, below, below);
  }
  expect_words(R"({"$ref": "#/$defs/a29", "$defs": {)" + levels + "}}", {"joined", "2000"});
}

}  // namespace
}  // namespace longhaul
