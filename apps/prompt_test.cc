// What of a file, a pipe or a line is content.
#include "apps/prompt.h"

#include <gtest/gtest.h>

#include "io/test_dir.h"

namespace longhaul {
namespace {

TEST(Transport, ByteOrderMarkAndCrLfAreNoContent) {
  EXPECT_EQ(without_transport("\xEF\xBB\xBFone\r\ntwo\r\n"), "one\ntwo\n");
  EXPECT_EQ(without_transport("a\rb\r\r\n"), "a\rb\r\n");  // a CR that ends no line stays
  EXPECT_EQ(without_transport("a\xEF\xBB\xBF"), "a\xEF\xBB\xBF");
  EXPECT_EQ(without_transport(""), "");
}

TEST(Escapes, StandForWhatTheySay) {
  EXPECT_EQ(unescape(R"(a\n\tb\\n\"\'\x41\r)").value(), "a\n\tb\\n\"'A\r");
  for (const char* wrong : {R"(a\q)", "a\\", R"(\x4)", R"(\xzz)"}) {
    const auto text = unescape(wrong);
    ASSERT_FALSE(text) << wrong;
    EXPECT_NE(text.error().message.find("\\xHH"), std::string::npos) << text.error().message;
  }
}

TEST(PromptText, OneLineBreakAtTheEndOfAFileIsNotPartOfIt) {
  const TestDir dir;
  PromptArguments prompt;
  prompt.file = dir.file("prompt");
  prompt.has_file = true;
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"a\n", "a"}, {"a\r\n", "a"}, {"a\n\n", "a\n"}, {"a", "a"}, {"\n", ""}}) {
    write_text(prompt.file, bytes);
    EXPECT_EQ(prompt_text(prompt).value(), text);
  }
  prompt.keep_newline = true;
  write_text(prompt.file, "a\r\n");
  EXPECT_EQ(prompt_text(prompt).value(), "a\n");
}

TEST(PromptText, EscapesAreReadBehindTheTransport) {
  PromptArguments prompt;
  prompt.text = R"(a\r\n)";
  prompt.has_text = true;
  EXPECT_EQ(prompt_text(prompt).value(), R"(a\r\n)");
  prompt.escapes = true;
  EXPECT_EQ(prompt_text(prompt).value(), "a\r\n");
}

}  // namespace
}  // namespace longhaul
