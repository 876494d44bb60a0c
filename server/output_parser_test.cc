#include "server/output_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace longhaul {
namespace {

using Call = OutputMessage::Call;
using Kind = OutputDelta::Kind;

OutputOptions with(const CallFormat& format) {
  OutputOptions options;
  options.calls = &format;
  options.tools = {"look", "add"};
  return options;
}

OutputOptions reasoning(bool begins_in_it = false) {
  OutputOptions options;
  options.has_reasoning = true;
  options.begins_in_reasoning = begins_in_it;
  return options;
}

struct Case {
  OutputOptions options;
  std::string text;
  OutputMessage message;
};

constexpr const char* kArguments = R"({"q": "a \"}</tool_call> é", "n": [1, {"x": null}]})";

std::string call(const std::string& name, const std::string& arguments,
                 const std::string& word = "arguments") {
  return R"({"name": ")" + name + R"(", ")" + word + R"(": )" + arguments + "}";
}

std::vector<Case> hermes_cases() {
  const OutputOptions hermes = with(kHermesCalls);
  const std::string look = call("look", kArguments), add = call("add", "{}");
  OutputOptions thinks = hermes, first = hermes, hidden = hermes;
  thinks.has_reasoning = true;
  first.one_call = true;
  hidden.hides_marks = true;
  return {
      {hermes, "", {}},
      {hermes, " plain text, 1 < 2 \n", {" plain text, 1 < 2 \n", "", {}}},
      {hermes, "<tool_call>" + look + "</tool_call>", {"", "", {{"look", kArguments}}}},
      {hermes,
       " I see.\n\n<tool_call>\n" + look + "\n</tool_call>\n<tool_call>\n" + add +
           "\n</tool_call>\n",
       {" I see.", "", {{"look", kArguments}, {"add", "{}"}}}},
      {hermes,
       "<tool_call>" + add + "</tool_call>\n and so on ",
       {"and so on ", "", {{"add", "{}"}}}},
      {hermes, look, {"", "", {{"look", kArguments}}}},
      {hermes, R"({"look": {}})", {R"({"look": {}})", "", {}}},
      // Names that the request does not have are the client's business.
      {hermes, "<tool_call>" + call("other", "{}") + "</tool_call>", {"", "", {{"other", "{}"}}}},
      {hermes,
       R"(<tool_call>{"arguments": {"a": 1}, "id": 5, "name": "look"}</tool_call>)",
       {"", "", {{"look", R"({"a": 1})"}}}},
      {hermes,
       R"(<tool_call>{"name": "l\u006fok", "arguments": "{\"a\": 1}"}</tool_call>)",
       {"", "", {{"look", R"({"a": 1})"}}}},
      {hermes, R"(<tool_call>{"name": "add"}</tool_call>)", {"", "", {{"add", "{}"}}}},
      {hermes,
       R"(<tool_call>{"name": "add", "arguments": null}</tool_call>)",
       {"", "", {{"add", "{}"}}}},
      // No calls: as they were written.
      {hermes, "Say <tool_call> x", {"Say <tool_call> x", "", {}}},
      {hermes,
       "<tool_call>{'name': 'look'}</tool_call>",
       {"<tool_call>{'name': 'look'}</tool_call>", "", {}}},
      {hermes,
       R"(<tool_call>{"name": 5}</tool_call>)",
       {R"(<tool_call>{"name": 5}</tool_call>)", "", {}}},
      {hermes,
       R"(<tool_call>{"arguments": {}}</tool_call>)",
       {R"(<tool_call>{"arguments": {}}</tool_call>)", "", {}}},
      {hermes,
       R"(<tool_call>{"name": "look", "argum)",
       {R"(<tool_call>{"name": "look", "argum)", "", {}}},
      {hermes, "a <tool_", {"a <tool_", "", {}}},
      {hermes,
       "<tool_call>x<tool_call>" + add + "</tool_call>",
       {"<tool_call>x", "", {{"add", "{}"}}}},
      {hidden, "<tool_call>x</tool_call> y", {"x y", "", {}}},
      // Cut off, or broken within the arguments.
      {hermes,
       R"(<tool_call>{"name": "look", "arguments": {"q": "a)",
       {"", "", {{"look", R"({"q": "a)"}}}},
      {hermes,
       R"(<tool_call>{"name": "look", "arguments": {"q": [1}}</tool_call>)",
       {"", "", {{"look", R"({"q": [1}})"}}}},
      {first,
       "<tool_call>" + look + "</tool_call><tool_call>" + add + "</tool_call>",
       {"", "", {{"look", kArguments}}}},
      {thinks,
       "<think>\n<tool_call>?\n</think>\n\n<tool_call>" + add + "</tool_call>",
       {"", "<tool_call>?", {{"add", "{}"}}}},
  };
}

std::vector<Case> llama_cases() {
  const OutputOptions llama = with(kLlamaCalls);
  const std::string look = call("look", kArguments, "parameters"),
                    add = call("add", "{}", "parameters");
  return {
      {llama, look, {"", "", {{"look", kArguments}}}},
      {llama, "\n " + look + "; " + add, {"", "", {{"look", kArguments}, {"add", "{}"}}}},
      {llama, add + "\n" + look, {"", "", {{"add", "{}"}, {"look", kArguments}}}},
      {llama, "<|python_tag|>" + look, {"", "", {{"look", kArguments}}}},
      {llama,
       R"({"type": "function", "name": "add", "parameters": {}})",
       {"", "", {{"add", "{}"}}}},
      {llama, "Hello {" + look, {"Hello {" + look, "", {}}},
      {llama,
       " " + call("Bob", "{}", "parameters"),
       {" " + call("Bob", "{}", "parameters"), "", {}}},
      {llama, R"({"name": "add"} is all)", {R"({"name": "add"} is all)", "", {}}},
      {llama, R"({"answer": [1, 2]} )", {R"({"answer": [1, 2]} )", "", {}}},
      {llama, add + " and so on", {"and so on", "", {{"add", "{}"}}}},
      {llama, add + "; {1}", {"; {1}", "", {{"add", "{}"}}}},
      {llama, "<|python_tag|>print(1)", {"<|python_tag|>print(1)", "", {}}},
  };
}

std::vector<Case> mistral_cases() {
  const OutputOptions mistral = with(kMistralCalls);
  const std::string look = call("look", kArguments), add = call("add", "{}");
  return {
      {mistral, "[TOOL_CALLS][" + look + "]", {"", "", {{"look", kArguments}}}},
      {mistral,
       "Yes. [TOOL_CALLS] [" + look + ", " + add + "]\n",
       {"Yes.", "", {{"look", kArguments}, {"add", "{}"}}}},
      {mistral, "[TOOL_CALLS]" + add, {"", "", {{"add", "{}"}}}},
      {mistral, "[TOOL_CALLS] look()", {"[TOOL_CALLS] look()", "", {}}},
      {mistral, "[TOOL_CALLS][" + add + ", 5]", {", 5]", "", {{"add", "{}"}}}},
      {mistral, "[1, 2] " + add, {"[1, 2] " + add, "", {}}},
  };
}

std::vector<Case> reasoning_cases() {
  return {
      {reasoning(), "<think>\nHm.\n</think>\n\nYes. ", {"Yes. ", "Hm.", {}}},
      {reasoning(), "Yes <think>", {"Yes <think>", "", {}}},
      {reasoning(), " \n", {" \n", "", {}}},
      {reasoning(), "<thin", {"<thin", "", {}}},
      {reasoning(), "<think>cut o", {"", "cut o", {}}},
      {reasoning(), "<think></think>x", {"x", "", {}}},
      {reasoning(true), "Hm. </thi </think> Yes", {"Yes", "Hm. </thi", {}}},
      {reasoning(true), "\n<think>\nHm.</think>", {"", "Hm.", {}}},
      {reasoning(true), "Hm", {"", "Hm", {}}},
      {{}, "<think>a</think> <tool_call>", {"<think>a</think> <tool_call>", "", {}}},
  };
}

OutputMessage read_in_pieces(const Case& a_case, std::mt19937& random, size_t most) {
  OutputMessage message;
  OutputParser parser(a_case.options);
  for (size_t at = 0; at < a_case.text.size();) {
    const size_t n = 1 + random() % most;
    for (const auto& delta : parser.feed(a_case.text.substr(at, n))) message.add(delta);
    at += n;
  }
  for (const auto& delta : parser.finish()) message.add(delta);
  return message;
}

void check(const std::vector<Case>& cases) {
  std::mt19937 random(1);
  for (const Case& a_case : cases) {
    const OutputMessage whole = read_output(a_case.options, a_case.text);
    EXPECT_EQ(whole.content, a_case.message.content) << a_case.text;
    EXPECT_EQ(whole.reasoning, a_case.message.reasoning) << a_case.text;
    EXPECT_EQ(whole.calls, a_case.message.calls) << a_case.text;
    for (size_t i = 0; i < 100; ++i)
      ASSERT_EQ(read_in_pieces(a_case, random, 1 + i / 10), whole) << a_case.text;
  }
}

TEST(OutputParser, HermesInAnyPieces) { check(hermes_cases()); }
TEST(OutputParser, LlamaInAnyPieces) { check(llama_cases()); }
TEST(OutputParser, MistralInAnyPieces) { check(mistral_cases()); }
TEST(OutputParser, ReasoningInAnyPieces) { check(reasoning_cases()); }

// Texts put together by chance from what matters to the formats.
TEST(OutputParser, AnyTextInAnyPieces) {
  const std::string parts[] = {"<tool_call>",
                               "</tool_call>",
                               "[TOOL_CALLS]",
                               "<|python_tag|>",
                               "<think>",
                               "</think>",
                               "{",
                               "}",
                               "[",
                               "]",
                               ",",
                               ";",
                               "\"name\"",
                               "\"arguments\"",
                               ": ",
                               "\"look\"",
                               " ",
                               "\n",
                               "\\\"",
                               "é",
                               call("add", "{}"),
                               "x"};
  std::mt19937 random(7);
  for (size_t i = 0; i < 20000; ++i) {
    Case a_case;
    a_case.options = with(*call_formats()[i % 3]);
    a_case.options.has_reasoning = random() % 2 == 0;
    a_case.options.begins_in_reasoning = a_case.options.has_reasoning && random() % 4 == 0;
    a_case.options.hides_marks = random() % 2 == 0;
    for (size_t n = random() % 12; n > 0; --n) a_case.text += parts[random() % std::size(parts)];
    ASSERT_EQ(read_in_pieces(a_case, random, 1 + random() % 9),
              read_output(a_case.options, a_case.text))
        << a_case.text;
  }
}

TEST(OutputParser, SaysThingsAsSoonAsTheyAreSettled) {
  OutputParser parser(with(kHermesCalls));
  const auto said = [](Kind kind, const char* text, size_t index = 0) {
    return std::vector<OutputDelta>{{kind, text, index}};
  };
  EXPECT_EQ(parser.feed("Let me"), said(Kind::kContent, "Let me"));
  EXPECT_EQ(parser.feed(" see <t"), said(Kind::kContent, " see"));
  EXPECT_TRUE(parser.feed("ool_call>\n{\"name\": \"look\", \"argum").empty());
  EXPECT_FALSE(parser.has_calls());
  const auto begun = parser.feed("ents\": {\"q\"");
  ASSERT_EQ(begun.size(), 2U);
  EXPECT_EQ(begun[0], (OutputDelta{Kind::kCall, "look", 0}));
  EXPECT_EQ(begun[1], (OutputDelta{Kind::kArguments, "{\"q\"", 0}));
  EXPECT_TRUE(parser.has_calls());
  EXPECT_EQ(parser.feed(": 1"), said(Kind::kArguments, ": 1"));
  EXPECT_EQ(parser.feed("}}\n</tool_call>"), said(Kind::kArguments, "}"));
  EXPECT_TRUE(parser.finish().empty());
}

TEST(OutputParser, FormatsAreThoseOfTheTemplates) {
  EXPECT_EQ(find_call_format("a <tool_call> b"), &kHermesCalls);
  EXPECT_EQ(find_call_format("a <tool_call> <function=x> b"), nullptr);
  EXPECT_EQ(find_call_format("'[TOOL_CALLS]' + x"), &kMistralCalls);
  EXPECT_EQ(find_call_format("[TOOL_CALLS] [ARGS]"), nullptr);
  EXPECT_EQ(find_call_format("<|start_header_id|> <|python_tag|>"), &kLlamaCalls);
  EXPECT_EQ(find_call_format("<|start_header_id|> system"), nullptr);
  EXPECT_EQ(find_call_format(""), nullptr);
}

}  // namespace
}  // namespace longhaul
