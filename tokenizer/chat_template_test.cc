// Each format as its family documents it: the templates below are the markers that tell them apart,
// the expected texts are written out from the model cards.
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <vector>

namespace longhaul {
namespace {

using Conversation = std::vector<ChatMessage>;

const Conversation kTwoTurns = {{"user", "Hello"}, {"assistant", "Hi there"}, {"user", "Why?"}};
const Conversation kWithSystem = {
    {"system", "Be brief."}, {"user", "Hello"}, {"assistant", "Hi there"}, {"user", "Why?"}};

ChatTemplate detect(std::string_view text) {
  auto result = ChatTemplate::detect(text);
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

std::string render(std::string_view text, const Conversation& messages, bool prompt = true) {
  const auto result = detect(text).render(messages, prompt);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : "";
}

std::string error_of(std::string_view text, const Conversation& messages) {
  const auto result = detect(text).render(messages, true);
  return result ? "" : result.error().message;
}

constexpr std::string_view kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}";
constexpr std::string_view kLlama2 =
    "{{ bos_token + '[INST] ' + '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + content.strip() + ' "
    "[/INST]' }}{{ ' ' + content.strip() + ' ' + eos_token }}";
constexpr std::string_view kLlama3 =
    "{{ bos_token }}{{ '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + content | trim + "
    "'<|eot_id|>' }}";
constexpr std::string_view kDeepSeek =
    "{{bos_token}}{{system_prompt}}{{'<｜User｜>' + content}}{{'<｜Assistant｜>' + "
    "content.split('</think>')[-1] + '<｜end▁of▁sentence｜>'}}";
constexpr std::string_view kGemma2 =
    "{{ bos_token }}{{ raise_exception('System role not supported') }}{{ '<start_of_turn>' + role "
    "+ "
    "'\\n' + content | trim + '<end_of_turn>\\n' }}";
constexpr std::string_view kGemma3 =
    "{{ bos_token }}{% set first_user_prefix = messages[0]['content'] + '\\n\\n' %}"
    "{{ '<start_of_turn>' + role }}";
constexpr std::string_view kPhi3 =
    "{{'<|system|>\\n' + content + '<|end|>\\n'}}{{'<|user|>\\n' + content + '<|end|>\\n'}}"
    "{{'<|assistant|>\\n'}}";

TEST(ChatTemplateTest, ChatMl) {
  EXPECT_EQ(detect(kChatMl).format(), ChatFormat::kChatMl);
  EXPECT_FALSE(detect(kChatMl).writes_bos());
  EXPECT_EQ(render(kChatMl, kWithSystem),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\nHi there<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(render(kChatMl, {{"user", " a "}}, false), "<|im_start|>user\n a <|im_end|>\n");
}

TEST(ChatTemplateTest, ChatMlWritesTheSystemMessageThatItsTemplateSpellsOut) {
  const std::string text =
      "{% if tools %}{{- '<|im_start|>system\\n' }}{{- messages[0]['content'] }}{{- '<|im_end|>' }}"
      "{% else %}{{- '<|im_start|>system\\nYou are a test.<|im_end|>\\n' }}{% endif %}" +
      std::string(kChatMl);
  const Conversation question = {{"user", "Hello"}};
  EXPECT_EQ(render(text, question, false),
            "<|im_start|>system\nYou are a test.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n");
  EXPECT_EQ(render(text, {{"system", ""}, {"user", "Hello"}}, false),
            "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n");
  EXPECT_EQ(render(kChatMl, question, false), "<|im_start|>user\nHello<|im_end|>\n");
}

TEST(ChatTemplateTest, EarlierReasoningIsDroppedWhereTheTemplateDropsIt) {
  const Conversation messages = {{"user", "1+1"},
                                 {"assistant", "<think>\nhm\n</think>\n\n2"},
                                 {"user", "more"},
                                 {"assistant", "<think>\nso\n</think>\n\n3"}};
  const std::string qwen3 = std::string(kChatMl) + "{{ content.split('</think>')[-1] }}";
  EXPECT_EQ(render(qwen3, messages, false),
            "<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
            "<|im_start|>user\nmore<|im_end|>\n"
            "<|im_start|>assistant\n<think>\nso\n</think>\n\n3<|im_end|>\n");
  EXPECT_NE(render(kChatMl, messages, false).find("hm"), std::string::npos);
  EXPECT_EQ(render(kDeepSeek, {messages[0], messages[1], messages[2]}),
            "<｜begin▁of▁sentence｜><｜User｜>1+1<｜Assistant｜>\n\n2<｜end▁of▁sentence｜>"
            "<｜User｜>more<｜Assistant｜>");
}

TEST(ChatTemplateTest, Llama2) {
  EXPECT_EQ(detect(kLlama2).format(), ChatFormat::kLlama2);
  EXPECT_TRUE(detect(kLlama2).writes_bos());
  EXPECT_EQ(render(kLlama2, kWithSystem),
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST] Hi there </s>"
            "<s>[INST] Why? [/INST]");
  EXPECT_EQ(render(kLlama2, {{"user", "  a\n"}}), "<s>[INST] a [/INST]");
  EXPECT_NE(error_of(kLlama2, {{"assistant", "a"}}).find("expected user"), std::string::npos);
  EXPECT_NE(error_of(kLlama2, {{"system", "a"}}).find("needs a user message"), std::string::npos);
}

TEST(ChatTemplateTest, Llama3) {
  EXPECT_EQ(detect(kLlama3).format(), ChatFormat::kLlama3);
  EXPECT_EQ(render(kLlama3, kWithSystem),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatTemplateTest, DeepSeekR1) {
  EXPECT_EQ(detect(kDeepSeek).format(), ChatFormat::kDeepSeekR1);
  EXPECT_EQ(render(kDeepSeek, kWithSystem),
            "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hello<｜Assistant｜>Hi there"
            "<｜end▁of▁sentence｜><｜User｜>Why?<｜Assistant｜>");
  const std::string opens = std::string(kDeepSeek) + "{{'<｜Assistant｜><think>\\n'}}";
  EXPECT_EQ(render(opens, {{"user", "Why?"}}),
            "<｜begin▁of▁sentence｜><｜User｜>Why?<｜Assistant｜><think>\n");
  EXPECT_EQ(render(opens, {{"user", "Why?"}}, false), "<｜begin▁of▁sentence｜><｜User｜>Why?");
}

TEST(ChatTemplateTest, MistralGenerationsDifferInBlanksAndInTheSystemMessage) {
  const std::string_view v1 =
      "{{ bos_token }}{{ '[INST] ' + content + ' [/INST]' }}{{ eos_token }}";
  EXPECT_EQ(detect(v1).format(), ChatFormat::kMistral);
  EXPECT_EQ(render(v1, kTwoTurns), "<s>[INST] Hello [/INST] Hi there</s>[INST] Why? [/INST]");
  EXPECT_NE(error_of(v1, kWithSystem).find("has no system role"), std::string::npos);

  const std::string_view v2 =
      "{{ bos_token }}{% if loop.first and system_message is defined %}{{ ' [INST] ' + "
      "system_message "
      "+ '\\n\\n' + content + ' [/INST]' }}{% endif %}";
  EXPECT_EQ(render(v2, kWithSystem),
            "<s> [INST] Be brief.\n\nHello [/INST] Hi there</s> [INST] Why? [/INST]");

  const std::string_view v3 =
      "{{ bos_token }}{% if loop.last and system_message is defined %}{{ '[INST] ' + "
      "system_message + "
      "'\\n\\n' + content + '[/INST]' }}{% endif %}";
  EXPECT_EQ(render(v3, kWithSystem),
            "<s>[INST] Hello[/INST] Hi there</s>[INST] Be brief.\n\nWhy?[/INST]");

  const std::string_view tekken =
      "{{ bos_token }}{% if loop.last and system_message is defined %}{{ '[INST]' + system_message "
      "+ "
      "'\\n\\n' + content + '[/INST]' }}{% endif %}";
  EXPECT_EQ(render(tekken, kWithSystem),
            "<s>[INST]Hello[/INST]Hi there</s>[INST]Be brief.\n\nWhy?[/INST]");

  const std::string_view v7 =
      "{{ bos_token }}{{ '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + "
      "content + '[/INST]' }}";
  EXPECT_EQ(
      render(v7, kWithSystem),
      "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hello[/INST]Hi there</s>[INST]Why?[/INST]");
  EXPECT_NE(error_of(v7, {{"user", "a"}, {"user", "b"}}).find("message 1"), std::string::npos);
  EXPECT_NE(error_of(v7, {{"system", "a"}, {"user", "b"}, {"user", "c"}}).find("message 2"),
            std::string::npos);
}

TEST(ChatTemplateTest, Gemma) {
  EXPECT_EQ(detect(kGemma2).format(), ChatFormat::kGemma);
  EXPECT_EQ(
      render(kGemma2, kTwoTurns),
      "<bos><start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\nHi there<end_of_turn>\n"
      "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_NE(error_of(kGemma2, kWithSystem).find("has no system role"), std::string::npos);
  EXPECT_EQ(render(kGemma3, {{"system", "Be brief."}, {"user", " Hello "}}),
            "<bos><start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\n");
}

TEST(ChatTemplateTest, GemmaTrimsWhatIsSaid) {
  EXPECT_EQ(render(kGemma3, {{"system", "\n Be brief.\n"},
                             {"user", " Hello\t\n"},
                             {"assistant", "\nHi there "},
                             {"user", "Why?\n"}}),
            "<bos><start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n"
            "<start_of_turn>model\nHi there<end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n"
            "<start_of_turn>model\n");
}

// Every format: the messages' own texts are marked as said, and nothing else is.
TEST(ChatTemplateTest, WhatIsSaidIsToldFromWhatTheTemplateWrites) {
  const std::string_view mistral =
      "{{ bos_token }}{% if loop.first and system_message is defined %}{{ '[INST] ' + content + ' "
      "[/INST]' }}{% endif %}";
  for (const std::string_view text :
       {kChatMl, kLlama2, kLlama3, kDeepSeek, kGemma3, kPhi3, mistral}) {
    const auto chat = detect(text).write(kWithSystem, true);
    ASSERT_TRUE(chat) << chat.error().message;
    std::vector<std::string> said;
    for (const TextRange range : chat->said)
      said.push_back(chat->text.substr(range.begin, range.end - range.begin));
    EXPECT_EQ(said, (std::vector<std::string>{"Be brief.", "Hello", "Hi there", "Why?"})) << text;
  }
  EXPECT_EQ(detect(kLlama2).write(Conversation{{"system", "a"}, {"user", " \n"}}, true)->text,
            "<s>[INST] <<SYS>>\na\n<</SYS>> [/INST]");
}

TEST(ChatTemplateTest, PhiGenerationsDifferInMarkers) {
  EXPECT_EQ(detect(kPhi3).format(), ChatFormat::kPhi);
  EXPECT_EQ(render(kPhi3, kWithSystem),
            "<|system|>\nBe brief.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n"
            "<|user|>\nWhy?<|end|>\n<|assistant|>\n");
  const std::string_view small =
      "{{'<|' + message['role'] + '|>' + '\\n' + content + '<|end|>\\n' }}";
  EXPECT_EQ(render(small, kWithSystem), render(kPhi3, kWithSystem));
  const std::string_view mini =
      "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}";
  EXPECT_EQ(render(mini, kTwoTurns),
            "<|user|>Hello<|end|><|assistant|>Hi there<|end|><|user|>Why?<|end|><|assistant|>");
  const std::string_view phi4 = "{{'<|im_start|>user<|im_sep|>' + content + '<|im_end|>'}}";
  EXPECT_EQ(detect(phi4).format(), ChatFormat::kPhi);
  EXPECT_EQ(
      render(phi4, kWithSystem),
      "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|>"
      "<|im_start|>assistant<|im_sep|>Hi there<|im_end|><|im_start|>user<|im_sep|>Why?<|im_end|>"
      "<|im_start|>assistant<|im_sep|>");
}

TEST(ChatTemplateTest, OtherTemplatesAreRefusedWithTheListOfWhatIsKnown) {
  for (const std::string_view text :
       {"", "{{ messages }}", "### Instruction:\n{{ content }}\n### Response:",
        "<|start|>user<|message|>{{ content }}<|end|>", "<|user|>{{ content }}</s><|assistant|>"}) {
    const auto result = ChatTemplate::detect(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
  }
  const auto result = ChatTemplate::detect("{{ messages }}");
  EXPECT_NE(
      result.error().message.find("ChatML, Llama 2, Llama 3, DeepSeek-R1, Mistral, Gemma, Phi"),
      std::string::npos);
}

TEST(ChatTemplateTest, UnknownRolesAndEmptyConversationsAreErrors) {
  for (const std::string_view text : {kChatMl, kLlama2, kLlama3, kDeepSeek, kGemma3, kPhi3}) {
    EXPECT_NE(error_of(text, {}).find("at least one message"), std::string::npos);
    EXPECT_NE(error_of(text, {{"user", "a"}, {"tool", "b"}}).find("`tool`"), std::string::npos);
    EXPECT_NE(error_of(text, {{"user", "a"}, {"system", "b"}}).find("must be the first"),
              std::string::npos);
  }
}

TEST(ChatTemplateTest, TheVocabularysOwnNamesGoBeforeThePublishedOnes) {
  const auto result = ChatTemplate::detect(kLlama2, "<start>", "<stop>");
  ASSERT_TRUE(result);
  EXPECT_EQ(*result->render(kTwoTurns, true),
            "<start>[INST] Hello [/INST] Hi there <stop><start>[INST] Why? [/INST]");
  // A template that does not write BOS leaves it to encode().
  const auto silent = ChatTemplate::detect("{{ '<|start_header_id|><|end_header_id|>' }}");
  ASSERT_TRUE(silent);
  EXPECT_FALSE(silent->writes_bos());
  EXPECT_EQ(silent->render(kTwoTurns, true)->find("<|begin_of_text|>"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
