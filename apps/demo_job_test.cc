// The demo's job on a tiny random model: every answer is wrong, which is what has to be noticed.
#include "apps/demo_job.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tasks/path.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

constexpr AttentionMode kAllModes[] = {AttentionMode::kExact, AttentionMode::kSparse,
                                       AttentionMode::kResa, AttentionMode::kDense};

TEST(DemoJob, RunsEveryModeAndComparesWithDense) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.block_size = 4;
  options.max_sessions = 2;
  auto engine = Engine::load(options);
  ASSERT_TRUE(engine) << engine.error().message;
  const Interrupt interrupt;
  JobOptions job_options;
  job_options.attention.min_blocks = 4;
  job_options.attention.always_draft = true;
  job_options.modes.assign(std::begin(kAllModes), std::end(kAllModes));
  job_options.n_rounds = 2;
  const auto job = run_job(**engine, "path of 12 nodes", make_path_task({.n_nodes = 12}, 1).value(),
                           job_options, interrupt);
  ASSERT_TRUE(job) << job.error().message;
  ASSERT_EQ(job->runs.size(), 4U);
  EXPECT_EQ(job->runs.front().mode, AttentionMode::kDense);
  EXPECT_TRUE(exact_is_dense(job->runs));
  EXPECT_EQ(job->runs.back().tokens_per_s.size(), 2U);
  const ModeRun& exact = *find_run(job->runs, AttentionMode::kExact);
  EXPECT_TRUE(exact.same_as_dense);
  EXPECT_GT(exact.result.attention.drafted, 0U);
  EXPECT_FALSE(job->scores.back().exact);
  EXPECT_EQ(job->scores.back().n_steps, 12);

  const std::string text = report(*job);
  for (const char* part :
       {"dense", "sparse", "resa", "exact gave the same", "wrong at step 1", "every token"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in:\n" << text;
  }
  const auto json = to_json(*job);
  EXPECT_EQ(json["runs"].size(), 4U);
  EXPECT_EQ(json["exact_is_dense"], true);
}

TEST(DemoJob, ABrokenPromiseIsSeen) {
  DemoJob job;
  job.runs.resize(2);
  job.scores.resize(2);
  job.runs[0].same_as_dense = true;
  job.runs[1].mode = AttentionMode::kExact;
  EXPECT_FALSE(exact_is_dense(job.runs));
  EXPECT_NE(report(job).find("EXACT DIFFERS"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
