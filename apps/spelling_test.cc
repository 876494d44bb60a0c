// Options as people type them from habit.
#include "apps/spelling.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

using Words = std::vector<std::string>;

class SpellingTest : public testing::Test {
 protected:
  SpellingTest() {
    CLI::App& command = *app_.add_subcommand("generate");
    command.add_option("-p,--prompt", text_);
    command.add_option("-n,--max-tokens", text_);
    command.add_option("--temp", text_);
    command.add_option("--top-k", text_);
    command.add_option("--stop", list_);
    command.add_flag("--json", flag_);
  }

  Words settled(Words words) {
    words.insert(words.begin(), "generate");
    const Status status = settle_spelling(app_, words);
    EXPECT_TRUE(status) << status.error().message;
    words.erase(words.begin());
    return words;
  }
  std::string refused(Words words) {
    words.insert(words.begin(), "generate");
    const Status status = settle_spelling(app_, words);
    return status ? "accepted" : status.error().message;
  }

  CLI::App app_;
  std::string text_;
  std::vector<std::string> list_;
  bool flag_ = false;
};

TEST_F(SpellingTest, OtherNamesOfTheSameOptionBecomeOurs) {
  EXPECT_EQ(settled({"--n-predict", "5", "--temperature=0.5", "--top_k", "3", "--predict=6"}),
            (Words{"--max-tokens", "5", "--temp=0.5", "--top-k", "3", "--max-tokens=6"}));
}

TEST_F(SpellingTest, WhatHappensAnywayIsDropped) {
  EXPECT_EQ(settled({"--no-display-prompt", "--json", "-no-cnv"}), (Words{"--json"}));
}

TEST_F(SpellingTest, AValueIsNeverTakenForAnOption) {
  EXPECT_EQ(settled({"-p", "--no-display-prompt", "--stop", "-ngl"}),
            (Words{"-p", "--no-display-prompt", "--stop", "-ngl"}));
  EXPECT_EQ(settled({"-n", "-1", "--", "--nosuch"}), (Words{"-n", "-1", "--", "--nosuch"}));
}

TEST_F(SpellingTest, WhatHasNoEqualIsExplained) {
  for (const char* name : {"-ngl", "--gpu-layers", "--n-gpu-layers"})
    EXPECT_NE(refused({name, "99"}).find("--device cuda"), std::string::npos) << name;
  EXPECT_NE(refused({"-cnv"}).find("longhaul chat"), std::string::npos);
}

TEST_F(SpellingTest, AnUnknownNameIsToldTheNearest) {
  EXPECT_NE(refused({"--tmep", "1"}).find("did you mean --temp?"), std::string::npos);
  EXPECT_NE(refused({"--max-token=1"}).find("did you mean --max-tokens?"), std::string::npos);
  const std::string far = refused({"--quantize-later"});
  EXPECT_EQ(far.find("did you mean"), std::string::npos) << far;
  EXPECT_NE(far.find("longhaul generate --help"), std::string::npos) << far;
}

TEST(Nearest, NamesOneOrNone) {
  EXPECT_EQ(nearest("--temprature", {"--temp", "--top-k"}), "--temp");
  EXPECT_EQ(nearest("--sed", {"--seed", "--temp"}), "--seed");
  EXPECT_EQ(nearest("--x", {"--seed", "--temp"}), "");
}

}  // namespace
}  // namespace longhaul
