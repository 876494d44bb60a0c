#include "apps/options.h"

#include <gtest/gtest.h>

#include "apps/prompt.h"

namespace longhaul {
namespace {

constexpr const char* kFile = LONGHAUL_SOURCE_DIR "/README.md";  // any file that exists

struct AllOptions {
  EngineOptions engine;
  SamplingOptions sampling;
  AttentionOptions attention;
  PromptArguments prompt;
};

// Reads `arguments` (without the program's name); gives the message of the error, empty if there
// was none.
std::string parse(AllOptions& options, std::vector<std::string> arguments) {
  CLI::App app;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_engine_options(app, options.engine);
  add_sampling_options(app, options.sampling);
  add_mode_option(app, options.attention.mode);
  add_selection_options(app, options.engine, options.attention);
  add_prompt_options(app, options.prompt);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 reads a vector from its end
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return {};
}

TEST(Options, DefaultsAreThoseOfTheApi) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m", kFile}), "");
  EXPECT_EQ(options.engine.model_path, kFile);
  EXPECT_EQ(options.engine.block_size, EngineOptions().block_size);
  EXPECT_EQ(options.attention.sparse_ratio, 0.1);
  EXPECT_EQ(options.attention.min_blocks, 16U);
  EXPECT_EQ(options.attention.local_blocks, 1U);
  EXPECT_EQ(options.attention.rectify_every, 32U);
  EXPECT_EQ(options.attention.mode, AttentionMode::kDense);
  EXPECT_EQ(options.sampling.temperature, 0.0F);
}

TEST(Options, GatesBringTheirSelectorUnlessAnotherIsNamed) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m", kFile, "--gates", kFile}), "");
  EXPECT_EQ(options.engine.gates_path, kFile);
  EXPECT_EQ(options.attention.selector, "gate");
  AllOptions named;
  ASSERT_EQ(parse(named, {"-m", kFile, "--selector", "window", "--gates", kFile}), "");
  EXPECT_EQ(named.attention.selector, "window");
  AllOptions both;
  EXPECT_NE(parse(both, {"-m", kFile, "--gate-threshold", "0.1", "--token-budget", "64"})
                .find("--gate-threshold"),
            std::string::npos);
}

TEST(Options, ReadsEveryGroup) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m",
                            kFile,
                            "-t",
                            "3",
                            "-c",
                            "128K",
                            "--attention",
                            "exact",
                            "--selector",
                            "window",
                            "--sparse-ratio",
                            "0.25",
                            "--token-budget",
                            "2K",
                            "--temp",
                            "0.6",
                            "--top-p",
                            "0.9",
                            "--logit-bias",
                            "5=-1",
                            "--logit-bias",
                            "7=2",
                            "--seed",
                            "42"}),
            "");
  EXPECT_EQ(options.engine.n_threads, 3U);
  EXPECT_EQ(options.engine.ctx_size, 131072U);
  EXPECT_EQ(options.attention.mode, AttentionMode::kExact);
  EXPECT_EQ(options.attention.selector, "window");
  EXPECT_EQ(options.attention.sparse_ratio, 0.25);
  EXPECT_EQ(options.attention.token_budget, 2048U);
  EXPECT_EQ(options.sampling.temperature, 0.6F);
  EXPECT_EQ(options.sampling.top_p, 0.9F);
  EXPECT_EQ(options.sampling.logit_bias,
            (std::vector<std::pair<int32_t, float>>{{5, -1.0F}, {7, 2.0F}}));
  EXPECT_EQ(options.sampling.seed, 42U);
}

TEST(Options, KAndVTypesWinOverTheirSum) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m", kFile, "--v-type", "f16", "--kv-type", "q8_0"}), "");
  EXPECT_EQ(options.engine.k_type, KvType::kQ8_0);
  EXPECT_EQ(options.engine.v_type, KvType::kF16);
}

TEST(Options, ErrorsNameTheOptionTheExpectedAndTheFound) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases = {
      {{"--threads", "two"}, {"--threads", "whole number", "two"}},
      {{"--ctx-size", "4X"}, {"--ctx-size", "whole number", "4X"}},
      {{"--attention", "dnse"}, {"--attention", "dense", "dnse"}},
      {{"--selector", "best"}, {"--selector", "minmax", "best"}},
      {{"--kv-type", "q4_0"}, {"--kv-type", "q8_0", "q4_0"}},
      {{"--top-p", "1.5"}, {"--top-p", "from 0 to 1", "1.5"}},
      {{"--temp", "-1"}, {"--temp", "from 0", "-1"}},
      {{"--rectify-every", "0"}, {"--rectify-every", "from 1", "0"}},
      {{"--logit-bias", "x"}, {"--logit-bias", "ID=BIAS", "x"}},
      {{"--tokens", "1,x"}, {"--tokens", "token ids", "x"}},
      {{"--model", "/nonexistent"}, {"--model", "/nonexistent"}},
  };
  for (const auto& [arguments, expected] : cases) {
    AllOptions options;
    std::vector<std::string> all = arguments;
    if (all.front() != "--model") all.insert(all.end(), {"-m", kFile});
    const std::string message = parse(options, all);
    for (const std::string& part : expected) {
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' not in: " << message;
    }
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Options, AnEmptyPromptIsAPrompt) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m", kFile, "-p", ""}), "");
  EXPECT_TRUE(options.prompt.has_text);
  EXPECT_EQ(prompt_text(options.prompt).value(), "");
}

TEST(Options, APromptHasOneSource) {
  PromptArguments prompt;
  prompt.has_text = prompt.has_file = true;
  EXPECT_FALSE(prompt_text(prompt));
}

TEST(Options, OfTwoEqualOptionsTheLastOneWins) {
  AllOptions options;
  ASSERT_EQ(parse(options, {"-m", kFile, "--temp", "0.1", "--temp", "0.2", "--selector", "window",
                            "--selector", "outlier", "-p", "a", "-p", "b"}),
            "");
  EXPECT_EQ(options.sampling.temperature, 0.2F);
  EXPECT_EQ(options.attention.selector, "outlier");
  EXPECT_EQ(options.prompt.text, "b");
}

TEST(Options, ASeedOfMinusOneIsDrawn) {
  AllOptions one, other;
  ASSERT_EQ(parse(one, {"-m", kFile, "--seed", "-1"}), "");
  ASSERT_EQ(parse(other, {"-m", kFile, "--seed", "-1"}), "");
  EXPECT_NE(one.sampling.seed, other.sampling.seed);  // equal once in 2^32
}

TEST(ReadTextFile, NamesTheFile) {
  const auto text = read_text_file("/nonexistent/prompt.txt");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kBadInput);
  EXPECT_NE(text.error().message.find("/nonexistent/prompt.txt"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
