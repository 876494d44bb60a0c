// Every kind of task: the right answer is right, wrong ones are not, and prompts grow.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tasks/answers.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr size_t kUnits = 200;

class KindTest : public testing::TestWithParam<const TaskKind*> {
 protected:
  static Task make(uint64_t seed, size_t n_units = kUnits) {
    auto task = GetParam()->make({.n_units = n_units, .seed = seed});
    EXPECT_TRUE(task) << task.error().message;
    return *task;
  }
};

TEST_P(KindTest, JudgesAnswers) {
  for (const uint64_t seed : {2U, 3U}) {
    const Task task = make(seed);
    const auto score = [&](const std::string& text) { return GetParam()->score(task, text); };
    const TaskScore right = score(task.answer);
    EXPECT_TRUE(right.exact) << task.answer;
    EXPECT_EQ(right.n_right_steps, right.n_steps);
    EXPECT_GT(right.n_steps, 0);
    EXPECT_FALSE(score("").exact);
    EXPECT_FALSE(score(" I do not know.").exact);
    EXPECT_FALSE(score(make(seed + 2).answer).exact) << "the answer to another task";
    // One character in the middle of what is wanted is another.
    std::string wrong = task.answer;
    const std::string& part = task.wanted.empty() ? task.answer : task.wanted.back();
    size_t at = wrong.rfind(part) + part.size() / 2;
    while (!std::isalnum(static_cast<unsigned char>(wrong[at]))) ++at;
    wrong[at] = wrong[at] == '7' ? '8' : '7';
    EXPECT_FALSE(score(wrong).exact) << wrong;
    EXPECT_LT(score(wrong).n_right_steps, right.n_steps);
  }
}

TEST_P(KindTest, SeedDecidesAndUnitsGrowThePrompt) {
  EXPECT_EQ(make(5).prompt, make(5).prompt);
  EXPECT_NE(make(5).prompt, make(6).prompt);
  EXPECT_GT(make(5, 300).prompt.size(), make(5).prompt.size());
  EXPECT_TRUE(make(5).answer.starts_with(' '));
}

TEST_P(KindTest, RefusesSizesBeyondItsLimits) {
  EXPECT_FALSE(GetParam()->make({.n_units = GetParam()->most_units + 2, .seed = 1}));
  if (GetParam()->least_units > 0) {
    EXPECT_FALSE(GetParam()->make({.n_units = GetParam()->least_units - 1, .seed = 1}));
  }
}

INSTANTIATE_TEST_SUITE_P(All, KindTest,
                         testing::ValuesIn(all_task_kinds().begin(), all_task_kinds().end()),
                         [](const auto& test) { return std::string(test.param->name); });

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(RecallTask, EveryKeyAndValueOnceAndQueriesInOrder) {
  const TaskKind& kind = *find_task_kind("recall");
  const auto task = kind.make({.n_units = 500, .seed = 9, .n_queries = 3});
  ASSERT_TRUE(task);
  ASSERT_EQ(task->wanted.size(), 3U);
  EXPECT_EQ(count(task->prompt, " ;"), 500U);
  std::string answer;
  for (size_t i = 0, at = 0; i < 3; ++i, at = task->answer.find(';', at) + 1) {
    const std::string pair = task->answer.substr(at, task->answer.find(';', at) + 1 - at);
    EXPECT_EQ(count(task->prompt, pair), 1U) << pair;
    EXPECT_EQ(count(task->prompt, pair.substr(0, 10)), 2U) << "listed, and asked for" << pair;
    EXPECT_EQ(pair.substr(11, 2), task->wanted[i]);
  }
  EXPECT_EQ(kind.score(*task, task->answer).n_steps, 3);
  EXPECT_FALSE(kind.make({.n_units = 2, .seed = 9, .n_queries = 3}));
}

TEST(NeedleTask, StandsAtItsDepth) {
  const TaskKind& kind = *find_task_kind("needle");
  double last = -1;
  for (const double depth : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const auto task = kind.make({.n_units = 400, .seed = 4, .depth = depth});
    ASSERT_TRUE(task);
    const double at = static_cast<double>(task->prompt.find(task->wanted[0])) /
                      static_cast<double>(task->prompt.size());
    EXPECT_NEAR(at, depth, 0.02);
    EXPECT_GT(at, last);
    last = at;
  }
  EXPECT_FALSE(kind.make({.n_units = 400, .seed = 4, .depth = 1.5}));
}

// Follows the assignments of the prompt independently of the generator.
TEST(VariablesTask, TheChainHoldsTheValue) {
  const auto task = find_task_kind("variables")->make({.n_units = 100, .seed = 11});
  ASSERT_TRUE(task);
  std::map<std::string, std::string> value_of;
  const auto words = words_in(task->prompt);
  for (size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i] != "VAR" || value_of.count(words[i + 1]) > 0) continue;
    const std::string& source = words[i + 2] == "VAR" ? words[i + 3] : words[i + 2];
    const bool known = value_of.count(source) > 0;
    EXPECT_TRUE(known || std::isdigit(static_cast<unsigned char>(source[0]))) << source;
    value_of[words[i + 1]] = known ? value_of[source] : source;
  }
  EXPECT_EQ(value_of.size(), 10U);
  std::set<std::string> holders;
  const std::string value = value_of[task->wanted.front()];
  for (const auto& [name, held] : value_of) {
    if (held == value) holders.insert(name);
  }
  EXPECT_EQ(holders, std::set<std::string>(task->wanted.begin(), task->wanted.end()));
}

TEST(WordsTask, TheWantedOccurMostOften) {
  for (const uint64_t seed : {20U, 21U}) {
    const auto task = find_task_kind("words")->make({.n_units = 700, .seed = seed});
    ASSERT_TRUE(task);
    std::map<std::string, size_t> counts;
    const size_t first = task->prompt.find('\n');
    const auto list = words_in(task->prompt.substr(first, task->prompt.find("\nWhich") - first));
    for (const std::string& word : list) ++counts[word];
    size_t least = 700;
    for (const std::string& word : task->wanted) least = std::min(least, counts[word]);
    for (const auto& [word, n] : counts) {
      const bool wanted =
          std::find(task->wanted.begin(), task->wanted.end(), word) != task->wanted.end();
      if (!wanted) {
        EXPECT_LT(n, least) << word;
      }
    }
    EXPECT_EQ(task->wanted.size(), seed % 2 == 0 ? 10U : 3U);
  }
}

}  // namespace
}  // namespace longhaul
