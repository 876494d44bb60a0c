// Long look-ups: every mode over 32,770 tokens, and 65,536 distinct pairs in 131,074 tokens of
// cache, of which sparse steps read a tenth.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "attention/minmax/summary.h"
#include "kernels/ops.h"
#include "longhaul/engine.h"
#include "model/model.h"
#include "model/state_slots.h"
#include "tests/lookup_model.h"

namespace longhaul {
namespace {

TEST(LookupLong, EveryModeWalksA32KPrompt) {
  LookupSpec spec;
  spec.n_nodes = 16384;
  const std::string path = fmt::format("{}lookup-long-{}.gguf", testing::TempDir(), getpid());
  ASSERT_TRUE(write_lookup_model(spec, path).has_value());
  const LookupWalk walk = make_lookup_walk(spec, 16384, 100, 1);
  ASSERT_EQ(walk.prompt.size(), 32770U);
  {
    EngineOptions options;
    options.selectors = {"minmax"};
    options.model_path = path;
    options.n_threads = 2;
    options.ctx_size = 33792;
    options.max_sessions = 2;
    options.k_type = options.v_type = KvType::kQ8_0;
    auto engine = Engine::load(options);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    auto session = (*engine)->new_session();
    ASSERT_TRUE(session.has_value()) << session.error().message;
    // One prefill serves all modes: each turn forks it.
    GenerateRequest prefill;
    prefill.prompt.assign(walk.prompt.begin(), walk.prompt.end() - 1);
    prefill.max_tokens = 0;
    ASSERT_TRUE(session->generate(prefill).has_value());
    for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                     AttentionMode::kResa, AttentionMode::kExact}) {
      auto turn = session->fork();
      ASSERT_TRUE(turn.has_value());
      GenerateRequest request;
      request.prompt = {walk.prompt.back()};
      request.max_tokens = walk.answer.size();
      request.attention.mode = mode;
      request.attention.always_draft = true;
      request.attention.selector = "minmax";  // as in lookup_model_test
      const auto result = turn->generate(request);
      ASSERT_TRUE(result.has_value()) << result.error().message;
      EXPECT_EQ(result->tokens, walk.answer) << to_string(mode);
      if (mode != AttentionMode::kDense) {
        EXPECT_LT(result->attention.blocks_read, result->attention.blocks_total / 9);
      }
    }
  }
  std::filesystem::remove(path);
}

// One sequence driven token by token. A dense prefill of 128K tokens takes minutes; this model's
// layers need only the token before to fill the cache, so window steps over three blocks leave the
// keys and values a dense prefill leaves.
class Walker {
 public:
  Walker(Model& model, SequenceState& sequence) : model_(model), sequence_(sequence) {
    window_.token_budget = 32;
    window_.local_blocks = 2;
  }

  void fill(std::span<const int32_t> tokens) {
    for (const int32_t token : tokens) step(token, find_selector("window"), window_, {});
  }

  // Greedy continuation after `token`; forgets it afterwards.
  std::vector<int32_t> walk(int32_t token, size_t n_steps, const char* selector, double ratio) {
    stats = {};
    const size_t n_before = sequence_.n_tokens();
    AttentionOptions options;
    options.sparse_ratio = ratio;
    std::vector<float> logits(model_.plan().vocab_size);
    std::vector<int32_t> found;
    for (size_t i = 0; i < n_steps; ++i) {
      step(token, selector == nullptr ? nullptr : find_selector(selector), options, logits);
      token = static_cast<int32_t>(argmax(logits.data(), logits.size()));
      found.push_back(token);
    }
    sequence_.rewind(n_before);
    return found;
  }

  StepStats stats;

 private:
  void step(int32_t token, const Selector* selector, const AttentionOptions& options,
            std::span<float> logits) {
    Step step;
    step.state = &sequence_;
    step.tokens = {&token, 1};
    step.first_pos = sequence_.n_tokens();
    step.n_logits = logits.empty() ? 0 : 1;
    step.selector = selector;
    step.attention = &options;
    const Status status = model_.run(step, {logits.data(), step.n_logits, logits.size()});
    ASSERT_TRUE(status.has_value()) << status.error().message;
    stats += step.stats;
  }

  Model& model_;
  SequenceState& sequence_;
  AttentionOptions window_;
};

TEST(LookupLong, FindsOneOf65536PairsIn128KTokens) {
  LookupSpec spec;
  spec.n_nodes = 65536;
  const std::string path = fmt::format("{}lookup-128k-{}.gguf", testing::TempDir(), getpid());
  ASSERT_TRUE(write_lookup_model(spec, path).has_value());
  const LookupWalk walk = make_lookup_walk(spec, 65536, 100, 1);
  ASSERT_EQ(walk.prompt.size(), 131074U);
  auto file = GgufFile::open(path);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ThreadPool pool(1);
  auto model = Model::load(*file, pool, 16);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  const BoundsSummary bounds(main_attention((*model)->plan())->key_dim);
  auto states = StatePool::create(state_slots((*model)->plan(), {.k_type = KvType::kQ8_0,
                                                                 .v_type = KvType::kQ8_0,
                                                                 .n_tokens = 132096,
                                                                 .summaries = {bounds.spec()}}));
  ASSERT_TRUE(states.has_value()) << states.error().message;
  SequenceState sequence = (*states)->new_sequence();
  Walker walker(**model, sequence);
  walker.fill(std::span(walk.prompt).first(walk.prompt.size() - 1));

  EXPECT_EQ(walker.walk(walk.prompt.back(), 20, nullptr, 1.0),
            std::vector<int32_t>(walk.answer.begin(), walk.answer.begin() + 20));
  EXPECT_EQ(walker.walk(walk.prompt.back(), 100, "minmax", 0.1), walk.answer);
  EXPECT_LT(walker.stats.blocks_read, walker.stats.blocks_total / 9);
  EXPECT_EQ(walker.walk(walk.prompt.back(), 100, "minmax", 0.05), walk.answer);
  // Too few blocks: by chance up to 2.7% of them look as good as the right one.
  EXPECT_NE(walker.walk(walk.prompt.back(), 100, "minmax", 0.005), walk.answer);
  EXPECT_NE(walker.walk(walk.prompt.back(), 100, "window", 0.1), walk.answer);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace longhaul
