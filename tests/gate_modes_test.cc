// The promises of the modes with the selector `gate`, through the public API; and what is refused.
#include <gtest/gtest.h>

#include <filesystem>

#include "longhaul/engine.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

EngineOptions options_for(const TinyModelSpec& spec, size_t block_size) {
  EngineOptions options;
  options.model_path = write_tiny_model(spec);
  options.gates_path = write_tiny_gates(options.model_path, block_size);
  options.n_threads = 2;
  options.max_sessions = 2;
  return options;
}

std::unique_ptr<Engine> load(const EngineOptions& options) {
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

std::string refusal(const EngineOptions& options) {
  const auto engine = Engine::load(options);
  return engine ? "accepted" : engine.error().message;
}

GenerateRequest request_of(AttentionMode mode, size_t max_tokens, std::vector<int32_t> prompt) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.attention.mode = mode;
  request.attention.always_draft = true;
  request.attention.selector = "gate";
  request.attention.sparse_ratio = 0.1;
  request.attention.min_blocks = 2;
  return request;
}

GenerateResult generate(Engine& engine, const GenerateRequest& request) {
  Session session = engine.new_session().value();
  auto result = session.generate(request);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? std::move(*result) : GenerateResult{};
}

class GateModes : public testing::TestWithParam<std::tuple<const char*, size_t, KvType>> {
 protected:
  GateModes() {
    TinyModelSpec spec;
    spec.architecture = std::get<0>(GetParam());
    EngineOptions options = options_for(spec, std::get<1>(GetParam()));
    options.k_type = options.v_type = std::get<2>(GetParam());
    engine_ = load(options);
  }
  const std::vector<int32_t> prompt_ = random_tokens(400, 3);
  std::unique_ptr<Engine> engine_;
};

TEST_P(GateModes, ExactIsDenseAndSparseIsNot) {
  EXPECT_EQ(engine_->options().block_size, std::get<1>(GetParam()));
  const auto dense = generate(*engine_, request_of(AttentionMode::kDense, 300, prompt_));
  const auto exact = generate(*engine_, request_of(AttentionMode::kExact, 300, prompt_));
  EXPECT_EQ(dense.tokens, exact.tokens);
  EXPECT_GT(exact.attention.accepted, 0U);
  const auto sparse = generate(*engine_, request_of(AttentionMode::kSparse, 300, prompt_));
  EXPECT_NE(dense.tokens, sparse.tokens);
  EXPECT_LT(sparse.attention.blocks_read, sparse.attention.blocks_total);
}

TEST_P(GateModes, EveryBlockIsDense) {
  const auto dense = generate(*engine_, request_of(AttentionMode::kDense, 100, prompt_));
  auto request = request_of(AttentionMode::kSparse, 100, prompt_);
  request.attention.token_budget = 4096;
  EXPECT_EQ(generate(*engine_, request).tokens, dense.tokens);
  // By a threshold that every share exceeds too; such steps do choose.
  request.attention.token_budget = 0;
  request.attention.gate_threshold = 1e-30;
  const auto all = generate(*engine_, request);
  EXPECT_EQ(all.tokens, dense.tokens);
  EXPECT_EQ(all.attention.sparse_steps, 99U);
  request.attention.gate_threshold = 0.05;
  const auto few = generate(*engine_, request);
  EXPECT_NE(few.tokens, dense.tokens);
  EXPECT_LT(few.attention.blocks_read, all.attention.blocks_read);
}

TEST_P(GateModes, ResaRectifiesInEveryWay) {
  auto request = request_of(AttentionMode::kResa, 200, prompt_);
  request.attention.rectify_every = 8;  // more rows ask for every block
  const auto dense_pass = generate(*engine_, request);
  request.attention.rectify = RectifyKind::kWide;
  request.attention.rectify_ratio = 1.0;
  EXPECT_EQ(generate(*engine_, request).tokens, dense_pass.tokens);
  for (const RectifyKind kind : {RectifyKind::kWide, RectifyKind::kAdaptive}) {
    request.attention.rectify = kind;
    request.attention.rectify_ratio = 0.2;
    request.attention.rectify_tolerance = 0.97;
    const auto partial = generate(*engine_, request);
    EXPECT_EQ(partial.attention.rectifications, dense_pass.attention.rectifications);
    EXPECT_LT(partial.attention.rectified_blocks_read, partial.attention.rectified_blocks_total);
  }
}

// Gate keys follow from the cache alone: through forks, truncation, and a state that was saved by
// an engine without gates.
TEST_P(GateModes, ForkedTruncatedAndRestoredSessionsGoOnAlike) {
  const auto sparse = request_of(AttentionMode::kSparse, 80, {});
  Session session = engine_->new_session().value();
  auto dense = request_of(AttentionMode::kDense, 60, prompt_);
  ASSERT_TRUE(session.generate(dense));
  const std::string path = testing::TempDir() + "gate_modes_test.state";
  ASSERT_TRUE(
      session.save(path));  // now the cache holds the newest token too, as a restored one does
  {
    EngineOptions options = engine_->options();
    options.gates_path.clear();
    options.selectors = {"minmax"};  // whose data other engines need not keep
    const auto plain = load(options);
    Session without_gates = plain->new_session().value();
    dense.attention.selector = "outlier";
    ASSERT_TRUE(without_gates.generate(dense));
    ASSERT_TRUE(without_gates.save(path));
  }
  Session fork = session.fork().value();
  const size_t n = session.tokens().size();
  const auto expected = session.generate(sparse)->tokens;
  EXPECT_EQ(fork.generate(sparse)->tokens, expected);
  session.truncate(n);
  EXPECT_EQ(session.generate(sparse)->tokens, expected);
  Session restored = engine_->new_session().value();
  ASSERT_TRUE(restored.restore(path));
  EXPECT_EQ(restored.generate(sparse)->tokens, expected);
  std::filesystem::remove(path);
}

INSTANTIATE_TEST_SUITE_P(Models, GateModes,
                         testing::Values(std::tuple{"qwen3", 16, KvType::kF16},
                                         std::tuple{"llama", 8, KvType::kQ8_0},
                                         std::tuple{"qwen2", 32, KvType::kF16}));

TEST(GateOptions, WithoutGatesTheSelectorIsRefused) {
  EngineOptions options = options_for({}, 16);
  options.gates_path.clear();
  const auto engine = load(options);
  EXPECT_EQ(engine->options().block_size, 16U);
  Session session = engine->new_session().value();
  const auto result = session.generate(request_of(AttentionMode::kSparse, 5, {1, 2, 3}));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("selector gate: expected a gate file"), std::string::npos)
      << result.error().message;
  auto boxes = request_of(AttentionMode::kSparse, 5, {1, 2, 3});
  boxes.attention.selector = "minmax";
  const auto without_boxes = session.generate(boxes);
  ASSERT_FALSE(without_boxes);
  EXPECT_NE(without_boxes.error().message.find("minmax: expected a cache that keeps its data"),
            std::string::npos)
      << without_boxes.error().message;
  boxes.attention.mode = AttentionMode::kDense;  // asks nobody
  EXPECT_TRUE(session.generate(boxes));
  session.truncate(0);
  ScoreRequest score;
  score.tokens = {1, 2};
  score.recall_of = {"gate"};
  GenerateRequest prompt;
  prompt.prompt = {1, 2, 3};
  prompt.max_tokens = 0;
  ASSERT_TRUE(session.generate(prompt));
  EXPECT_NE(session.score(score).error().message.find("selector gate"), std::string::npos);
}

TEST(GateOptions, AutoIsCalibratedWithTheGates) {
  EngineOptions options = options_for({}, 16);
  const auto with_gates = load(options);
  const auto calibration = with_gates->calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_GT(calibration->select_ns, 0);
  const auto prompt = random_tokens(400, 3);
  const auto dense = generate(*with_gates, request_of(AttentionMode::kDense, 100, prompt));
  EXPECT_EQ(generate(*with_gates, request_of(AttentionMode::kAuto, 100, prompt)).tokens,
            dense.tokens);
  options.gates_path.clear();
  EXPECT_NE(load(options)->calibration_key(), with_gates->calibration_key());
}

TEST(GateOptions, GatesOfAnotherModelOrBlockSizeAreRefused) {
  EngineOptions options = options_for({}, 16);
  options.block_size = 64;
  EXPECT_NE(refusal(options).find("gates for blocks of 16 tokens, but the block size is 64"),
            std::string::npos)
      << refusal(options);
  options.block_size = 0;
  TinyModelSpec other;
  other.seed = 9;
  options.gates_path = options_for(other, 16).gates_path;
  EXPECT_NE(refusal(options).find("gates of another model"), std::string::npos) << refusal(options);
  EXPECT_NE(refusal(options).find("fingerprint"), std::string::npos);
  other.n_kv_heads = 4;
  options.gates_path = options_for(other, 16).gates_path;
  EXPECT_NE(refusal(options).find("with KV heads 4"), std::string::npos) << refusal(options);
  options.gates_path = options.model_path;
  EXPECT_NE(refusal(options).find("not a gate file"), std::string::npos) << refusal(options);
  options.gates_path.clear();
  options.random_gates = true;
  EXPECT_NE(refusal(options).find("random gates: expected a shape"), std::string::npos);
}

TEST(GateOptions, AThresholdStandsAlone) {
  AttentionOptions options;
  options.gate_threshold = 0.001;
  EXPECT_EQ(validate(options, 64).error().message,
            "gate threshold: expected the selector gate, found 'outlier'");
  options.selector = "gate";
  EXPECT_TRUE(validate(options, 64));
  options.token_budget = 1024;
  EXPECT_EQ(validate(options, 64).error().message,
            "gate threshold: expected no token budget beside it, found 1024");
  options.token_budget = 0;
  options.mode = AttentionMode::kAuto;
  EXPECT_NE(validate(options, 64).error().message.find("other than auto"), std::string::npos);
  options.mode = AttentionMode::kSparse;
  options.gate_threshold = 1;
  EXPECT_EQ(validate(options, 64).error().message,
            "gate threshold: expected 0 (off) to below 1, found 1");
}

}  // namespace
}  // namespace longhaul
