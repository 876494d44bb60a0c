// A document continued by a tiny random model, and how two texts stand side by side.
#include "apps/demo_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace longhaul {
namespace {

TEST(DemoText, EveryModeGoesOnAndIsComparedWithDense) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.block_size = 4;
  options.max_sessions = 2;
  const auto engine = Engine::load(options);
  ASSERT_TRUE(engine) << engine.error().message;
  const Interrupt interrupt;
  JobOptions job;
  job.attention.min_blocks = 1;
  job.attention.sparse_ratio = 0.05;
  job.modes = {AttentionMode::kSparse, AttentionMode::kExact, AttentionMode::kDense};
  job.n_rounds = 2;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "line " + std::to_string(i) + "\n";
  const auto demo = run_text(**engine, "lines", text, 40, job, interrupt);
  ASSERT_TRUE(demo) << demo.error().message;
  ASSERT_EQ(demo->runs.size(), 3U);
  EXPECT_EQ(demo->runs[0].mode, AttentionMode::kDense);
  EXPECT_EQ(demo->runs[0].tokens_per_s.size(), 2U);
  EXPECT_TRUE(exact_is_dense(demo->runs));
  EXPECT_LT(demo->runs[1].result.attention.blocks_read,
            demo->runs[1].result.attention.blocks_total / 2);
  // As without sharing the prompt.
  Session session = (*engine)->new_session().value();
  GenerateRequest request;
  request.prompt = (*engine)->tokenize(text, true, false).value();
  request.max_tokens = 40;
  EXPECT_EQ(session.generate(request)->tokens, demo->runs[0].result.tokens);
  const std::string shown = report(*demo);
  EXPECT_NE(shown.find("exact: the same "), std::string::npos) << shown;
  EXPECT_EQ(shown.find("sparse: the same ") != std::string::npos, demo->runs[1].same_as_dense);
  EXPECT_EQ(to_json(*demo)["runs"].size(), 3U);
}

TEST(DemoText, ATextThatPartsIsShownFromThere) {
  DemoText demo{"text", 10, {}};
  demo.runs.resize(2);
  demo.runs[0].same_as_dense = true;
  demo.runs[0].result.text = "The king went home and slept.";
  demo.runs[1].mode = AttentionMode::kSparse;
  demo.runs[1].n_as_dense = 4;
  demo.runs[1].result.text = "The king went away.";
  const std::string shown = report(demo);
  EXPECT_NE(shown.find("sparse: parts from dense after 4 tokens"), std::string::npos) << shown;
  EXPECT_NE(shown.find("  The king went home and slept.           The king went away."),
            std::string::npos)
      << shown;
}

TEST(SideBySide, WrapsAtWordsAndSaysWhatIsLeftOut) {
  EXPECT_EQ(side_by_side("one two three", "ä\n\nb", 8, 5),
            "  one two   ä\n"
            "  three\n"
            "            b\n");
  EXPECT_EQ(side_by_side("abcdefghij", "", 4, 2), "  abcd\n  …\n");
  EXPECT_EQ(side_by_side("", "", 4, 2), "");
}

}  // namespace
}  // namespace longhaul
