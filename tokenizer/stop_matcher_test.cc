#include "tokenizer/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace longhaul {
namespace {

TEST(StopMatcherTest, AStopMaySpanPartsAndIsNotShown) {
  StopMatcher matcher({"###"});
  EXPECT_EQ(matcher.feed("answer #"), "answer ");
  EXPECT_EQ(matcher.feed("#"), "");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.feed("# more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.matched(), "###");
  EXPECT_EQ(matcher.feed("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcherTest, WhatCannotBeAStopAnyMoreIsReleased) {
  StopMatcher matcher({"\n\nUser:"});
  EXPECT_EQ(matcher.feed("one\n"), "one");
  EXPECT_EQ(matcher.feed("\nUse"), "");
  EXPECT_EQ(matcher.feed("ful"), "\n\nUseful");
  EXPECT_EQ(matcher.feed("\n\n\nUs"), "\n");  // the last two newlines may begin it
  EXPECT_EQ(matcher.finish(), "\n\nUs");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, OfSeveralTheFirstCompletedCountsAndThenTheLongest) {
  StopMatcher first({"bc", "abcd"});
  EXPECT_EQ(first.feed("xabcd"), "xa");
  EXPECT_EQ(first.matched(), "bc");
  StopMatcher longest({"c", "abc"});
  EXPECT_EQ(longest.feed("xabc"), "x");
  EXPECT_EQ(longest.matched(), "abc");
}

TEST(StopMatcherTest, NoStopsAndEmptyStopsPassAll) {
  StopMatcher matcher({""});
  EXPECT_EQ(matcher.feed("abc"), "abc");
  EXPECT_FALSE(matcher.stopped());
}

// Against the definition: the first place at which a stop ends; the longest that ends there.
TEST(StopMatcherTest, EqualsTheDefinitionHoweverTheTextIsCut) {
  std::mt19937 rng(5);
  const auto random_text = [&](size_t n) {
    std::string text(n, 'a');
    for (char& c : text) c = static_cast<char>('a' + rng() % 2);
    return text;
  };
  int n_stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0; i < 1 + rng() % 3; ++i) stops.push_back(random_text(2 + rng() % 6));
    const std::string text = random_text(rng() % 24);
    std::string expected = text;
    bool stops_here = false;
    for (size_t end = 1; end <= text.size() && !stops_here; ++end) {
      size_t length = 0;
      for (const std::string& stop : stops) {
        if (std::string_view(text).substr(0, end).ends_with(stop)) {
          length = std::max(length, stop.size());
        }
      }
      if (length > 0) stops_here = true, expected = text.substr(0, end - length);
    }
    StopMatcher matcher(stops);
    std::string shown;
    for (size_t pos = 0; pos < text.size();) {
      const size_t n = 1 + rng() % 4;
      shown += matcher.feed(std::string_view(text).substr(pos, n));
      pos += n;
    }
    shown += matcher.finish();
    ASSERT_EQ(shown, expected) << text;
    ASSERT_EQ(matcher.stopped(), stops_here);
    n_stopped += stops_here ? 1 : 0;
  }
  EXPECT_GT(n_stopped, 1000);
  EXPECT_LT(n_stopped, 4500);
}

}  // namespace
}  // namespace longhaul
