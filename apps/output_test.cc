// What is printed, and where it may go.
#include "apps/output.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "apps/context.h"
#include "apps/interrupt.h"
#include "apps/output_target.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

TEST(Printable, EscapesWhatATerminalObeys) {
  EXPECT_EQ(printable("naïve 中文 😀"), "naïve 中文 😀");
  EXPECT_EQ(printable("\033[31mred\a\n"), "\\x1B[31mred\\x07\\n");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\xC2\\x9B31m");  // CSI as one character of C1
  EXPECT_EQ(printable("\x9B"
                      "31m\x7F"),
            "\\x9B31m\\x7F");  // and as a byte
  EXPECT_EQ(printable("a\xE2\x80\xAE"
                      "b"),
            "a\\xE2\\x80\\xAE"
            "b");  // right-to-left override
}

TEST(ExitStatus, ACancelledRunIsAShellsInterrupt) {
  EXPECT_EQ(exit_status(ErrorCode::kCancelled), kExitInterrupted);
  EXPECT_EQ(exit_status(ErrorCode::kIo), 1);
  EXPECT_EQ(exit_status(ErrorCode::kBadInput), 2);
}

std::string refusal(const std::string& path) {
  const auto target = output_target("--save-state", path);
  return target ? "accepted" : target.error().message;
}

TEST(OutputTarget, FollowsLinksToTheFile) {
  const TestDir dir;
  const std::string file = dir.file("file"), link = dir.file("link"), second = dir.file("second");
  EXPECT_EQ(output_target("--x", file).value(), file);  // not there yet
  std::filesystem::create_symlink("file", link);
  std::filesystem::create_symlink(link, second);
  EXPECT_EQ(output_target("--x", second).value(), file);
  write_text(file, "x");
  EXPECT_EQ(output_target("--x", second).value(), file);
}

TEST(OutputTarget, RefusesWhatIsNoFile) {
  const TestDir dir;
  EXPECT_NE(refusal("/dev/null").find("--save-state /dev/null: expected a file"),
            std::string::npos);
  EXPECT_NE(refusal(dir.file(".")).find("a folder"), std::string::npos);
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal(dir.file("pipe")).find("a pipe"), std::string::npos);
  EXPECT_NE(refusal(dir.file("none/state")).find("no such folder"), std::string::npos);
  std::filesystem::create_symlink("a", dir.file("b"));
  std::filesystem::create_symlink("b", dir.file("a"));
  EXPECT_NE(refusal(dir.file("a")).find("circle"), std::string::npos);
}

TEST(FittingContext, IsTheMostThatHasRoom) {
  const auto bytes = [](size_t n_tokens) { return 1000 + 10 * n_tokens; };
  EXPECT_EQ(fitting_context(2048, 1 << 20, bytes), 2048U);
  EXPECT_EQ(fitting_context(131072, 1000 + 10 * 1023, bytes), 768U);
  EXPECT_EQ(fitting_context(131072, 1000 + 10 * 1024, bytes), 1024U);
  EXPECT_EQ(fitting_context(131072, 0, bytes), 256U);  // the engine says what is missing
  EXPECT_EQ(fitting_context(100, 0, bytes), 100U);
}

}  // namespace
}  // namespace longhaul
