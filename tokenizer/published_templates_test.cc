// The chat templates of the models at hand, in GGUF files under LONGHAUL_MODELS or ~/.cache/longhaul,
// against Jinja2, which renders them on the fly (tools/jinja_oracle.py; LONGHAUL_PYTHON names another
// interpreter than python3). Skips where there are no models, or no Jinja2.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "io/gguf.h"
#include "io/test_dir.h"
#include "template/golden_cases.h"
#include "template/json.h"

namespace longhaul {
namespace {

using jinja::Entry;
using jinja::Value;

constexpr std::string_view kConversations = R"([
  [{"role": "user", "content": " Hello <|im_end|> \n"}],
  [{"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "日本?"}],
  [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nb\n</think>\n\nc"},
   {"role": "user", "content": "d"}],
  [{"role": "user", "content": "a"},
   {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "abcdefghi",
     "function": {"name": "look", "arguments": {"q": "é\"", "n": [1.0, null, true]}}}]},
   {"role": "tool", "name": "look", "tool_call_id": "abcdefghi", "content": "{\"x\": 1}"},
   {"role": "assistant", "content": "yes"}],
  [{"role": "critic", "content": "x"}]
])";

constexpr std::string_view kTools = R"([{"type": "function", "function": {"name": "look",
  "description": "Looks \"up\".", "parameters": {"type": "object", "required": ["q"],
  "properties": {"q": {"type": "string"}, "n": {"type": "array", "items": {"type": "number"}}}}}}])";

std::filesystem::path models_folder() {
  if (const char* folder = std::getenv("LONGHAUL_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "") / ".cache/longhaul/models";
}

std::vector<std::pair<std::string, std::string>> templates_at_hand() {
  std::vector<std::pair<std::string, std::string>> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(models_folder(), error)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto file = GgufFile::open(entry.path().string());
    if (!file) continue;  // not whole, or not one of ours
    const auto text = file->get_string_or("tokenizer.chat_template", "");
    if (text && !text->empty()) found.emplace_back(entry.path().filename(), *text);
  }
  return found;
}

Value cases_of(const std::vector<std::pair<std::string, std::string>>& templates) {
  const Value conversations = *jinja::read_json(kConversations);
  const Value tools = *jinja::read_json(kTools);
  std::vector<Value> cases;
  for (const auto& [name, source] : templates) {
    for (const Value& messages : conversations.as_list()->items) {
      for (const bool with_tools : {false, true}) {
        std::vector<Entry> variables = {
            {Value::data("messages"), messages},
            {Value::data("tools"), with_tools ? tools : Value::none()},
            {Value::data("add_generation_prompt"), Value::boolean(!with_tools)},
            {Value::data("bos_token"), Value::data("<s>")},
            {Value::data("eos_token"), Value::data("</s>")}};
        if (with_tools)
          variables.emplace_back(Value::data("enable_thinking"), Value::boolean(false));
        cases.push_back(
            *Value::dict({{Value::data("name"), Value::data(name)},
                          {Value::data("template"), Value::data(source)},
                          {Value::data("variables"), *Value::dict(std::move(variables))}}));
      }
    }
  }
  return *Value::list(std::move(cases));
}

void write_json_file(const std::string& path, const Value& value) {
  jinja::Budget budget{jinja::Limits()};
  jinja::Writer out(budget);
  ASSERT_TRUE(jinja::write_json(out, value, {}));
  std::ofstream(path, std::ios::binary) << out.take().bytes();
}

TEST(PublishedTemplatesTest, SayWhatJinja2Says) {
  const auto templates = templates_at_hand();
  if (templates.empty()) {
    GTEST_SKIP() << "skipped: no model with a chat template in " << models_folder()
                 << "; set LONGHAUL_MODELS to a folder that has some";
  }
  const TestDir dir;
  write_json_file(dir.file("in.json"), cases_of(templates));
  const char* python = std::getenv("LONGHAUL_PYTHON");
  const std::string command =
      fmt::format("{} {}/tools/jinja_oracle.py {} {}", python != nullptr ? python : "python3",
                  LONGHAUL_SOURCE_DIR, dir.file("in.json"), dir.file("out.json"));
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127))
    GTEST_SKIP() << "skipped: no Jinja2; install python3-jinja2 or set LONGHAUL_PYTHON";
  ASSERT_EQ(status, 0) << command;
  const auto cases = jinja::read_golden_cases(dir.file("out.json"));
  EXPECT_EQ(cases.size(), templates.size() * 10);
  size_t n_rendered = 0;
  for (const jinja::GoldenCase& one : cases) {
    const auto text = jinja::render_case(one);
    EXPECT_EQ(text.has_value(), one.output.has_value())
        << one.name << ": " << (text ? one.error : text.error().message);
    if (!text || !one.output) continue;
    EXPECT_EQ(text->bytes(), *one.output) << one.name;
    ++n_rendered;
  }
  EXPECT_GT(n_rendered, templates.size());
}

}  // namespace
}  // namespace longhaul
