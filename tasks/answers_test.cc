// Answers in free wording: what counts and what does not.
#include "tasks/answers.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

TEST(ScoreNumbers, TheFirstNumbersInOrder) {
  const Task one{.prompt = "", .answer = "", .wanted = {"482133"}};
  EXPECT_TRUE(score_numbers(one, " 482133.").exact);
  EXPECT_TRUE(score_numbers(one, "The value of the key bako-tiru is 482133, I think").exact);
  EXPECT_FALSE(score_numbers(one, " 482134.").exact);
  EXPECT_FALSE(score_numbers(one, " 14821339").exact);
  EXPECT_FALSE(score_numbers(one, " 111111 or 482133").exact);
  EXPECT_FALSE(score_numbers(one, "").exact);
  const Task two{.prompt = "", .answer = "", .wanted = {"12", "34"}};
  EXPECT_TRUE(score_numbers(two, "12, then 34; not 35").exact);
  EXPECT_EQ(score_numbers(two, "34 and 12").n_right_steps, 0);
  EXPECT_EQ(score_numbers(two, "12, 35").n_right_steps, 1);
  EXPECT_EQ(score_numbers(two, "12, 35, 34").n_right_steps, 1);
}

TEST(ScoreWords, AllAndNoOther) {
  const Task task{.prompt = "", .answer = "", .wanted = {"ABCDE", "XYZXY"}};
  const auto capitals = [](std::string_view word) { return word.size() == 5 && word[0] < 'a'; };
  EXPECT_TRUE(score_words(task, " ABCDE and XYZXY.", capitals).exact);
  EXPECT_FALSE(score_words(task, " ABCDE.", capitals).exact);
  EXPECT_EQ(score_words(task, " ABCDE ABCDE.", capitals).n_right_steps, 1);
  const TaskScore more = score_words(task, " ABCDE, XYZXY, QQQQQ", capitals);
  EXPECT_EQ(more.n_right_steps, 2);
  EXPECT_FALSE(more.exact);
  EXPECT_FALSE(score_words(task, "ABCDEF XYZXY", capitals).exact);
}

TEST(FinalResult, BoxThenHashesThenLastNumber) {
  EXPECT_EQ(final_result("so \\boxed{12} and \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
  EXPECT_EQ(final_result("9 * 2 = 18\n#### 1,800 \n"), "1,800");
  EXPECT_EQ(final_result("It costs $1,234.50."), "1,234.50");
  EXPECT_EQ(final_result("5-3 is 2"), "2");
  EXPECT_EQ(final_result("it is -3."), "-3");
  EXPECT_EQ(final_result("\\boxed{12"), "12");  // not closed: the last number
  EXPECT_EQ(final_result("nothing"), std::nullopt);
}

TEST(SameResult, ComparesValues) {
  EXPECT_TRUE(same_result("1,000", "$1000.0"));
  EXPECT_TRUE(same_result("18", " 18. "));
  EXPECT_TRUE(same_result("\\frac{1}{2}", "\\frac{1}{2}"));
  EXPECT_FALSE(same_result("18", "19"));
  EXPECT_FALSE(same_result("18", "eighteen"));
  EXPECT_FALSE(same_result("-18", "18"));
  EXPECT_TRUE(same_result("East", "east."));
}

TEST(ChosenLetter, StandsAlone) {
  EXPECT_EQ(chosen_letter(" B", 4), 'B');
  EXPECT_EQ(chosen_letter("(C) because", 4), 'C');
  EXPECT_EQ(chosen_letter("The answer is D.", 4), 'D');
  EXPECT_EQ(chosen_letter("A man chooses B", 4), 'B');
  EXPECT_EQ(chosen_letter("A. A man", 4), 'A');
  EXPECT_EQ(chosen_letter("DNA", 4), std::nullopt);
  EXPECT_EQ(chosen_letter("E", 4), std::nullopt);
  EXPECT_EQ(chosen_letter(" b", 4), 'B');
  EXPECT_EQ(chosen_letter("(c).", 4), 'C');
  EXPECT_EQ(chosen_letter("e", 4), std::nullopt);
  EXPECT_EQ(chosen_letter("a man chooses b", 4), std::nullopt);
}

}  // namespace
}  // namespace longhaul
