// Chats with a tiny random model: what is said makes no sense, what is kept must.
#include "apps/conversation.h"

#include <gtest/gtest.h>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/test_dir.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

constexpr const char* kChatMl =
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] "
    "}}<|im_end|>\n{% endfor %}";

// The tiny model, with a chat format added unless `chat_template` is empty.
std::string write_chat_model(const TestDir& dir, const std::string& chat_template) {
  const std::vector<std::byte> bytes = make_tiny_model({});
  const auto file = GgufFile::parse(bytes, "tiny");
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  if (!chat_template.empty()) writer.set_string("tokenizer.chat_template", chat_template);
  for (const GgufTensor& tensor : file->tensors()) {
    EXPECT_TRUE(writer.add_tensor(tensor.name, tensor.type(), tensor.shape, tensor.data));
  }
  EXPECT_TRUE(writer.write(dir.file("chat.gguf")));
  return dir.file("chat.gguf");
}

Result<std::unique_ptr<Engine>> load_model(const std::string& path) {
  EngineOptions options;
  options.model_path = path;
  options.n_threads = 1;
  return Engine::load(options);
}

class ConversationTest : public testing::Test {
 protected:
  void SetUp() override {
    auto engine = load_model(write_chat_model(dir_, kChatMl));
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    request_.max_tokens = 6;
    request_.ignore_eos = true;
  }

  Conversation start(const std::string& system = "Be brief.") {
    auto conversation = Conversation::start(*engine_, system);
    EXPECT_TRUE(conversation) << conversation.error().message;
    return std::move(*conversation);
  }

  TestDir dir_;
  std::unique_ptr<Engine> engine_;
  GenerateRequest request_;
};

TEST_F(ConversationTest, OnlyTheNewTurnIsProcessed) {
  Conversation conversation = start();
  const auto first = conversation.answer("A question of some length, asked first.", request_);
  ASSERT_TRUE(first);
  const size_t n_held = conversation.n_tokens();
  const auto second = conversation.answer("And?", request_);
  ASSERT_TRUE(second);
  EXPECT_LT(second->prompt_tokens, first->prompt_tokens);
  // What was held, the turn and its answer; nothing twice.
  EXPECT_EQ(conversation.n_tokens(),
            engine_->tokenize_chat(std::span(conversation.turns()).first(4)).value().size() + 6);
  EXPECT_GE(conversation.n_tokens(), n_held);
  EXPECT_EQ(conversation.turns().size(), 5U);  // the system's and two of each
}

TEST_F(ConversationTest, AnAnswerIsTheOneOfAColdStart) {
  Conversation warm = start();
  const auto first = warm.answer("one", request_);
  const auto second = warm.answer("two", request_);
  auto session = engine_->new_session();
  GenerateRequest cold = request_;
  cold.prompt = engine_->tokenize_chat(std::span(warm.turns()).first(4)).value();
  // The cache of the engine has room for one session: give back the other's.
  warm.reset();
  const auto expected = session->generate(cold);
  ASSERT_TRUE(first && second && expected);
  EXPECT_EQ(second->tokens, expected->tokens);
}

TEST_F(ConversationTest, ResetKeepsTheSystemMessage) {
  Conversation conversation = start();
  const auto before = conversation.answer("one", request_);
  conversation.reset();
  EXPECT_EQ(conversation.turns().size(), 1U);
  EXPECT_EQ(conversation.n_tokens(), 0U);
  const auto after = conversation.answer("one", request_);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->tokens, before->tokens);
}

TEST_F(ConversationTest, AStoppedAnswerIsKeptAsFarAsItCame) {
  Conversation conversation = start();
  GenerateRequest stopped = request_;
  stopped.on_progress = [](size_t, size_t, size_t generated) { return generated < 3; };
  const auto answer = conversation.answer("one", stopped);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(answer->tokens.size(), 3U);
  EXPECT_EQ(conversation.turns().size(), 3U);
  EXPECT_TRUE(conversation.answer("two", request_));
}

TEST_F(ConversationTest, AStopBeforeTheFirstTokenTakesTheTurnBack) {
  Conversation conversation = start();
  GenerateRequest stopped = request_;
  stopped.on_progress = [](size_t, size_t, size_t) { return false; };
  ASSERT_TRUE(conversation.answer("one", stopped));
  EXPECT_EQ(conversation.turns().size(), 1U);
}

TEST_F(ConversationTest, AnErrorTakesTheTurnBack) {
  Conversation conversation = start();
  EXPECT_FALSE(conversation.answer(std::string(5000, 'x'), request_));
  EXPECT_EQ(conversation.turns().size(), 1U);
  EXPECT_TRUE(conversation.answer("short", request_));
}

TEST_F(ConversationTest, SavedAndLoadedItGoesOn) {
  Conversation conversation = start();
  ASSERT_TRUE(conversation.answer("one", request_));
  ASSERT_TRUE(conversation.save(dir_.file("state")));
  const auto expected = conversation.answer("two", request_);
  conversation.reset();
  const auto n_tokens = conversation.load(dir_.file("state"));
  ASSERT_TRUE(n_tokens) << n_tokens.error().message;
  EXPECT_GT(*n_tokens, 0U);
  EXPECT_EQ(conversation.turns().size(), 3U);
  const auto again = conversation.answer("two", request_);
  ASSERT_TRUE(expected && again);
  EXPECT_EQ(again->tokens, expected->tokens);
  EXPECT_EQ(again->prompt_tokens, expected->prompt_tokens);
}

TEST_F(ConversationTest, AFileThatIsNoChatChangesNothing) {
  Conversation conversation = start();
  ASSERT_TRUE(conversation.answer("one", request_));
  for (const char* turns :
       {"", "{", "3", "[1]", R"([{"role": "user"}])", R"([{"role": 1, "content": ""}])"}) {
    write_text(dir_.file("state.json"), turns);
    const auto loaded = conversation.load(dir_.file("state"));
    ASSERT_FALSE(loaded) << turns;
    EXPECT_NE(loaded.error().message.find("state.json"), std::string::npos)
        << loaded.error().message;
  }
  EXPECT_EQ(conversation.turns().size(), 3U);
}

TEST(Conversation, AModelWithoutAChatFormatIsRefused) {
  const TestDir dir;
  auto engine = load_model(write_chat_model(dir, ""));
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_FALSE(Conversation::start(**engine, ""));
}

}  // namespace
}  // namespace longhaul
