// What `longhaul batch` reads, and the file it goes on with.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/batch_output.h"
#include "apps/batch_request.h"
#include "apps/options.h"

namespace longhaul {
namespace {

std::string refusal(const std::string& line) {
  const auto request = parse_batch_request(line, 7, {});
  return request ? "accepted" : request.error().message;
}

TEST(BatchRequest, TakesEveryField) {
  GenerateRequest defaults;
  defaults.max_tokens = 9;
  defaults.sampling.top_k = 3;
  const auto batch = parse_batch_request(
      R"({"id": "a", "prompt": "x", "temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "seed": 5, "n": 2,
          "stop": ["y", "z"], "attention": {"mode": "resa", "sparse_ratio": 0.25, "rectify": "wide"}})",
      7, defaults);
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->id, "\"a\"");
  EXPECT_EQ(batch->prompt, "x");
  EXPECT_EQ(batch->n, 2U);
  EXPECT_EQ(batch->request.max_tokens, 9U);
  EXPECT_EQ(batch->request.sampling.top_k, 3U);
  EXPECT_EQ(batch->request.sampling.seed, 5U);
  EXPECT_FLOAT_EQ(batch->request.sampling.temperature, 0.5F);
  EXPECT_EQ(batch->request.stop, (std::vector<std::string>{"y", "z"}));
  EXPECT_EQ(batch->request.attention.mode, AttentionMode::kResa);
  EXPECT_EQ(batch->request.attention.rectify, RectifyKind::kWide);
  EXPECT_EQ(batch->request.attention.sparse_ratio, 0.25);
  const auto other = parse_batch_request(R"({"tokens": [1, 2], "max_tokens": 4})", 7, defaults);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->id, "7");
  EXPECT_EQ(other->tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(other->request.max_tokens, 4U);
  const auto chat = parse_batch_request(
      R"({"id": 3, "messages": [{"role": "user", "content": "hi"}], "tools": [{"b": 1, "a": 2}],
          "chat_template_kwargs": {"enable_thinking": false}})",
      7, {});
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->chat.messages, R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(chat->chat.tools, R"([{"b":1,"a":2}])");  // in their order
  EXPECT_EQ(chat->chat.variables, R"({"enable_thinking":false})");
}

TEST(BatchRequest, RefusesByFieldExpectedAndFound) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "expected JSON, found"},
      {"[1]", "expected an object, found [1]"},
      {"{}", "prompt: expected one of the fields prompt, messages and tokens, found 0"},
      {R"({"prompt": "a", "tokens": [1]})", "found 2"},
      {R"({"prompt": "a", "max_tokens": "9"})", "max_tokens: expected a whole number from 0"},
      {R"({"prompt": "a", "max_tokens": -9})", "found -9"},
      {R"({"prompt": "a", "temperture": 1})", "temperture: expected one of the fields attention,"},
      {R"({"prompt": "a", "top_p": 2})", "top_p: expected a number from 0 to 1, found 2"},
      {R"({"prompt": 5})", "prompt: expected a text, found 5"},
      {R"({"prompt": "a", "n": 0})", "n: expected a whole number from 1"},
      {R"({"prompt": "a", "id": [1]})", "id: expected a text or a whole number"},
      {R"({"prompt": "a", "stop": [""]})", "stop: expected texts that are not empty"},
      {R"({"tokens": [1, -2]})", "tokens: expected token ids, found -2"},
      {R"({"messages": [{"content": "a"}]})", "messages: expected turns with a text `role`"},
      {R"({"messages": [{"role": "user"}], "tools": {}})", "tools: expected a list, found {}"},
      {R"({"prompt": "a", "tools": [1]})", "expected messages beside them"},
      {R"({"prompt": "a", "attention": {"mode": "dnse"}})",
       "attention: mode: attention mode: expected"},
      {R"({"prompt": "a", "attention": {"ratio": 1}})",
       "attention: ratio: expected one of the fields"},
  };
  for (const auto& [line, part] : cases) {
    EXPECT_NE(refusal(line).find(part), std::string::npos) << line << ": " << refusal(line);
  }
  EXPECT_EQ(id_of_line(R"({"id": "q", "n": 0})", 4), "\"q\"");
  EXPECT_EQ(id_of_line("{", 4), "4");
}

TEST(BatchOutput, GoesOnWhereItWasTorn) {
  const std::string path = testing::TempDir() + "batch_output_test.jsonl";
  std::filesystem::remove(path);
  {
    const auto output = BatchOutput::open(path).value();
    ASSERT_TRUE(output->add({{"id", "a"}, {"index", 1}, {"text", "x"}}));
    ASSERT_TRUE(output->add({{"id", 2}, {"error", {{"message", "m"}}}}));
  }
  std::ofstream(path, std::ios::app) << R"({"id": "b", "ind)";
  {
    const auto output = BatchOutput::open(path).value();
    EXPECT_TRUE(output->has("\"a\"", 1));
    EXPECT_FALSE(output->has("\"a\"", 0));
    EXPECT_FALSE(output->has("2", 0));  // an error is tried again
    ASSERT_TRUE(output->add({{"id", "c"}, {"index", 0}}));
  }
  EXPECT_TRUE(BatchOutput::open(path).value()->has("\"c\"", 0));
  EXPECT_EQ(read_text_file(path)->find("\"b\""), std::string::npos);
  std::ofstream(path, std::ios::app) << "no result\n";
  const auto refused = BatchOutput::open(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("line 4"), std::string::npos) << refused.error().message;
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace longhaul
