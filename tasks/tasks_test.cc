// The tasks: prompts and answers are consistent, seeds decide, and the score finds the first error.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "tasks/path.h"
#include "tasks/recall.h"
#include "tasks/sum.h"

namespace longhaul {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

TEST(TaskNames, AreDistinctPronounceableAndFixed) {
  const auto& names = task_names();
  EXPECT_EQ(names.size(), 1024U);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const std::string& name : names) {
    ASSERT_EQ(name.size(), 4U);
    EXPECT_EQ(std::string("aeiou").find(name[0]), std::string::npos) << name;
    EXPECT_NE(std::string("aiou").find(name[3]), std::string::npos) << name;
  }
}

// Walks the prompt's edges from its start node, independently of the generator.
TEST(PathTask, AnswerIsTheWalkThroughThePrompt) {
  const auto task = make_path_task({.n_nodes = 200, .n_other = 100}, 7);
  ASSERT_TRUE(task);
  const auto prompt = words(task->prompt);
  std::map<std::string, std::string> next;
  size_t i = 1;
  for (; prompt[i] != "from"; i += 3) {
    ASSERT_EQ(prompt[i + 2], ";");
    ASSERT_TRUE(next.emplace(prompt[i], prompt[i + 1]).second) << "two edges from " << prompt[i];
  }
  EXPECT_EQ(next.size(), 300U);
  std::string walk;
  int n_steps = 0;
  for (std::string at = prompt[i + 1]; at != "end"; at = next.at(at), ++n_steps) {
    walk += " " + at + " " + next.at(at) + " ;";
  }
  EXPECT_EQ(n_steps, 200);
  EXPECT_EQ(walk, task->answer);
}

TEST(PathTask, SeedDecides) {
  const PathTaskOptions options{.n_nodes = 20};
  EXPECT_EQ(make_path_task(options, 1)->prompt, make_path_task(options, 1)->prompt);
  EXPECT_NE(make_path_task(options, 1)->prompt, make_path_task(options, 2)->prompt);
}

TEST(PathTask, RefusesImpossibleCounts) {
  EXPECT_FALSE(make_path_task({.n_nodes = 0}, 1));
  EXPECT_FALSE(make_path_task({.n_nodes = 1000, .n_other = 25}, 1));
  EXPECT_FALSE(make_path_task({.n_nodes = 10, .n_other = -1}, 1));
  EXPECT_TRUE(make_path_task({.n_nodes = 1000, .n_other = 24}, 1));
}

TEST(SumTask, TotalsAddUp) {
  const auto task = make_sum_task({.n_entries = 300}, 3);
  ASSERT_TRUE(task);
  const auto prompt = words(task->prompt);
  const auto answer = words(task->answer);
  ASSERT_EQ(answer.size(), 1200U);
  int total = 0;
  for (size_t i = 0; i < 300; ++i) {
    total += std::stoi(prompt[3 * i + 2]);
    EXPECT_EQ(answer[4 * i], prompt[3 * i + 1]);
    EXPECT_EQ(answer[4 * i + 1], prompt[3 * i + 2]);
    EXPECT_EQ(std::stoi(answer[4 * i + 2]), total % kSumModulus);
    EXPECT_EQ(answer[4 * i + 3], ";");
  }
  EXPECT_GT(total, kSumModulus) << "the test should see a total wrap";
}

TEST(SumTask, RefusesImpossibleCounts) {
  EXPECT_FALSE(make_sum_task({.n_entries = 0}, 1));
  EXPECT_FALSE(make_sum_task({.n_entries = 1025}, 1));
}

// 32 names make 1,024 keys: each name is in many of 500, and none stands twice.
TEST(RecallTask, FewNamesMakeKeysAlike) {
  const auto task = make_recall_task({.n_pairs = 500, .n_queries = 250, .n_names = 32}, 5);
  ASSERT_TRUE(task);
  const auto prompt = words(task->prompt);
  std::map<std::string, std::string> value_of;
  std::set<std::string> names;
  for (size_t i = 6; i < 6 + 4 * 500; i += 4) {
    ASSERT_EQ(prompt[i + 3], ";");
    ASSERT_TRUE(value_of.emplace(prompt[i] + prompt[i + 1], prompt[i + 2]).second);
    names.insert({prompt[i], prompt[i + 1]});
  }
  EXPECT_EQ(names.size(), 32U);
  const auto answer = words(task->answer);
  ASSERT_EQ(answer.size(), 4 * 250U);
  for (size_t i = 0; i < answer.size(); i += 4) {
    EXPECT_EQ(value_of.at(answer[i] + answer[i + 1]), answer[i + 2]);
  }
}

TEST(RecallTask, RefusesImpossibleCounts) {
  EXPECT_FALSE(make_recall_task({.n_pairs = 0, .n_queries = 0}, 1));
  EXPECT_FALSE(make_recall_task({.n_pairs = 2, .n_queries = 3}, 1));
  EXPECT_FALSE(make_recall_task({.n_pairs = 51, .n_names = 10}, 1));
  EXPECT_FALSE(make_recall_task({.n_pairs = 5, .n_names = 1025}, 1));
  EXPECT_TRUE(make_recall_task({.n_pairs = 50, .n_names = 10}, 1));
}

TEST(ScoreAnswer, CountsUpToTheFirstWrongStep) {
  const Task task{.prompt = "", .answer = " a b ; b c ; c end ;"};
  EXPECT_TRUE(score_answer(task, " a b ; b c ; c end ;\n").exact);
  const TaskScore wrong = score_answer(task, " a b ; b x ; c end ;");
  EXPECT_EQ(wrong.n_steps, 3);
  EXPECT_EQ(wrong.n_right_steps, 1);
  EXPECT_FALSE(wrong.exact);
  EXPECT_EQ(score_answer(task, " a b ; b c").n_right_steps, 1);
  EXPECT_EQ(score_answer(task, "").n_right_steps, 0);
  const TaskScore longer = score_answer(task, " a b ; b c ; c end ; c end ;");
  EXPECT_EQ(longer.n_right_steps, 3);
  EXPECT_FALSE(longer.exact);
}

}  // namespace
}  // namespace longhaul
