// The trainer's vocabulary against the engine's tokenizer: the same ids for the same text.
#include "trainer/vocabulary.h"

#include <gtest/gtest.h>

#include "tasks/path.h"
#include "tasks/sum.h"
#include "tokenizer/tokenizer.h"

namespace longhaul::trainer {
namespace {

const Vocabulary& small_vocabulary() {
  static const Vocabulary vocabulary = make_vocabulary(
      "the cat sat on the mat, and the other cat didn't; 1976 was the year they'd met", 20);
  return vocabulary;
}

TEST(TrainerVocabulary, NamesAndNumbersAreOneToken) {
  for (const std::string& name : task_names()) {
    EXPECT_EQ(small_vocabulary().encode(" " + name).size(), 1U) << name;
  }
  for (int n = 0; n < kSumModulus; ++n) {
    EXPECT_EQ(small_vocabulary().encode(" " + std::to_string(n)).size(), 1U) << n;
  }
  EXPECT_EQ(small_vocabulary().encode(make_path_task({.n_nodes = 9}, 1)->answer).size(), 27U);
  EXPECT_EQ(small_vocabulary().encode(make_sum_task({.n_entries = 9}, 1)->answer).size(), 36U);
}

TEST(TrainerVocabulary, EngineTokenizesAlike) {
  const auto tokenizer = Tokenizer::build(small_vocabulary().to_gguf());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const std::string& text :
       {make_path_task({.n_nodes = 50}, 2)->prompt, make_sum_task({.n_entries = 50}, 2)->answer,
        std::string("the cats, they'd 1976\n\n  caf\xc3\xa9 \xe2\x80\x93 \xff")}) {
    const auto ids = tokenizer->encode(text, {.add_bos = false});
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, small_vocabulary().encode(text)) << text;
    EXPECT_EQ(small_vocabulary().decode(*ids), text);
  }
}

}  // namespace
}  // namespace longhaul::trainer
