// The modes against dense decoding, through the public API.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "longhaul/engine.h"
#include "tests/requests.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

std::unique_ptr<Engine> load(const TinyModelSpec& spec, KvType kv_type = KvType::kF16,
                             size_t n_threads = 2, size_t ctx_size = 0) {
  EngineOptions options;
  options.model_path = write_tiny_model(spec);
  options.n_threads = n_threads;
  options.ctx_size = ctx_size;
  options.k_type = options.v_type = kv_type;
  options.max_sessions = 4;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

GenerateResult generate(Engine& engine, const GenerateRequest& request) {
  auto session = engine.new_session();
  EXPECT_TRUE(session.has_value());
  auto result = session->generate(request);
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result ? std::move(*result) : GenerateResult{};
}

struct ExactCase {
  std::string architecture;
  uint64_t seed;
  KvType kv_type;
  size_t rectify_every;
};

class ExactIsDense : public testing::TestWithParam<ExactCase> {};

TEST_P(ExactIsDense, TokenForToken) {
  TinyModelSpec spec;
  spec.architecture = GetParam().architecture;
  spec.seed = GetParam().seed;
  spec.type = TensorType::kQ8_0;
  const auto engine = load(spec, GetParam().kv_type);
  ASSERT_NE(engine, nullptr);
  const auto prompt = random_tokens(500, GetParam().seed);
  constexpr size_t kTokens = 1500;
  const auto dense = generate(*engine, request_of(AttentionMode::kDense, kTokens, prompt));
  auto request = request_of(AttentionMode::kExact, kTokens, prompt);
  request.attention.rectify_every = GetParam().rectify_every;
  const auto exact = generate(*engine, request);
  EXPECT_EQ(dense.tokens, exact.tokens);
  EXPECT_EQ(exact.tokens.size(), kTokens);
  // The sparse path ran, and its drafts were judged, not waved through.
  EXPECT_GT(exact.attention.sparse_steps, 0U);
  EXPECT_GT(exact.attention.rectifications, 0U);
  EXPECT_GE(exact.attention.drafted, exact.attention.accepted);
  EXPECT_GT(exact.attention.accepted, 0U);
  EXPECT_LT(exact.attention.blocks_read, exact.attention.blocks_total);
  EXPECT_EQ(dense.attention.blocks_read, dense.attention.blocks_total);
  // Sparse decoding alone says something else, so equality above is not an accident.
  const auto sparse = generate(*engine, request_of(AttentionMode::kSparse, kTokens, prompt));
  EXPECT_NE(dense.tokens, sparse.tokens);
  EXPECT_EQ(sparse.attention.sparse_steps, kTokens - 1);
}

INSTANTIATE_TEST_SUITE_P(Models, ExactIsDense,
                         testing::Values(ExactCase{"qwen3", 1, KvType::kF16, 32},
                                         ExactCase{"qwen3", 2, KvType::kQ8_0, 8},
                                         ExactCase{"llama", 3, KvType::kQ8_0, 32},
                                         ExactCase{"qwen2", 4, KvType::kF16, 17}),
                         [](const auto& test) {
                           return test.param.architecture + std::to_string(test.param.seed);
                         });

TEST(Modes, ExactHandlesPenaltiesLikeDense) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kDense, 400, random_tokens(300, 5));
  request.sampling.repetition_penalty = 1.3F;
  request.sampling.frequency_penalty = 0.5F;
  const auto dense = generate(*engine, request);
  request.attention.mode = AttentionMode::kExact;
  EXPECT_EQ(dense.tokens, generate(*engine, request).tokens);
}

TEST(Modes, AProfileCountsPassesAndHashesWhatIsFinal) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kDense, 200, random_tokens(500, 8));
  const auto plain = generate(*engine, request);
  EXPECT_EQ(plain.profile.steps.n_passes + plain.profile.prompt.n_passes, 0U);
  request.profile = true;
  const auto dense = generate(*engine, request);
  EXPECT_EQ(dense.tokens, plain.tokens);
  EXPECT_EQ(dense.profile.prompt.n_tokens, 500U);
  EXPECT_EQ(dense.profile.steps.n_passes, 199U);
  EXPECT_EQ(dense.profile.steps.n_attended, 199 * 600);  // positions 500 to 698 see 501 to 699
  EXPECT_EQ(dense.profile.chunks.n_passes, 0U);
  request.attention.mode = AttentionMode::kExact;
  const auto exact = generate(*engine, request);
  EXPECT_EQ(exact.profile.logits_hash, dense.profile.logits_hash);
  EXPECT_EQ(exact.profile.chunks.n_passes, exact.attention.rectifications);
  request.attention.mode = AttentionMode::kSparse;
  const auto sparse = generate(*engine, request);
  EXPECT_NE(sparse.profile.logits_hash, dense.profile.logits_hash);
  EXPECT_LT(sparse.profile.steps.n_attended, dense.profile.steps.n_attended);
}

TEST(Modes, AutoSaysWhatDenseSays) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kDense, 1200, random_tokens(400, 6));
  const auto dense = generate(*engine, request);
  request.attention.mode = AttentionMode::kAuto;
  const auto chosen = generate(*engine, request);
  EXPECT_EQ(dense.tokens, chosen.tokens);
  EXPECT_FALSE(chosen.attention.reason.empty());
}

// Sparse passes that cost next to nothing, and dense ones that cost the same however many rows.
Calibration sparse_is_cheap() {
  Calibration calibration;
  calibration.pass_ms = {0.001, 0.003, 0.008, 0.032};
  calibration.attention_ns = {1e6, 1e6, 1e6, 1e6};
  return calibration;
}

TEST(Modes, AutoFollowsItsCalibration) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kAuto, 300, random_tokens(600, 9));
  engine->set_calibration(sparse_is_cheap());
  const auto drafts = generate(*engine, request);
  EXPECT_GT(drafts.attention.drafted, 0U);
  EXPECT_GT(drafts.attention.auto_choice.crossover, 0U);
  Calibration calibration;
  calibration.pass_ms = {1, 1, 1, 1};  // drafts save nothing
  engine->set_calibration(calibration);
  const auto dense = generate(*engine, request);
  EXPECT_EQ(dense.attention.mode, AttentionMode::kDense);
  EXPECT_EQ(dense.attention.drafted, 0U);
  EXPECT_EQ(dense.attention.auto_choice.crossover, 0U);
  EXPECT_EQ(dense.tokens, drafts.tokens);
}

TEST(Modes, ExactDraftsWhereItsCalibrationSaysThatItPays) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kExact, 300, random_tokens(600, 9));
  request.attention.always_draft = false;
  engine->set_calibration(sparse_is_cheap());
  const auto drafts = generate(*engine, request);
  EXPECT_GT(drafts.attention.drafted, drafts.attention.copied);
  Calibration calibration;
  calibration.pass_ms = {1, 3, 8, 32};  // a row of a pass costs a token
  calibration.sparse_ns = 1e6;
  engine->set_calibration(calibration);
  const auto dense = generate(*engine, request);
  EXPECT_EQ(dense.attention.mode, AttentionMode::kExact);
  EXPECT_EQ(dense.attention.sparse_steps, 0U);
  EXPECT_EQ(dense.tokens, drafts.tokens);
  request.attention.always_draft = true;
  const auto always = generate(*engine, request);
  EXPECT_GT(always.attention.drafted, 0U);
  EXPECT_EQ(always.tokens, drafts.tokens);
}

// A text that says one token again and again copies itself; where a pass costs its rows, not even
// right drafts pay, and none is tried.
TEST(Modes, ExactCopiesWhereThatPays) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kExact, 200, random_tokens(300, 9));
  request.attention.always_draft = false;
  request.sampling.logit_bias = {{5, 1e3F}};
  Calibration calibration;
  calibration.pass_ms = {1, 1, 1, 1};
  calibration.sparse_ns = 1e6;  // no sparse step pays
  engine->set_calibration(calibration);
  const auto copied = generate(*engine, request);
  EXPECT_EQ(copied.tokens, std::vector<int32_t>(200, 5));
  EXPECT_GT(copied.attention.copied, 150U);
  EXPECT_EQ(copied.attention.copied, copied.attention.drafted);
  EXPECT_EQ(copied.attention.copied_accepted, copied.attention.copied);
  EXPECT_EQ(copied.attention.accepted, copied.attention.copied);
  calibration.pass_ms = {1, 3, 8, 32};
  engine->set_calibration(calibration);
  const auto dense = generate(*engine, request);
  EXPECT_EQ(dense.tokens, copied.tokens);
  EXPECT_EQ(dense.attention.drafted, 0U);
}

TEST(Modes, AutoTakesLooserModesOnlyWhereAllowed) {
  const auto engine = load({});
  engine->set_calibration(sparse_is_cheap());
  auto request = request_of(AttentionMode::kAuto, 100, random_tokens(600, 9));
  request.attention.auto_may = AttentionMode::kSparse;
  EXPECT_EQ(generate(*engine, request).attention.sparse_steps, 99U);
  request.attention.auto_may = AttentionMode::kResa;
  Calibration calibration = sparse_is_cheap();
  // With drafts to verify at each token it would be worse than dense.
  calibration.pass_ms = {0.001, 1e3, 1e3, 1e3};
  engine->set_calibration(calibration);
  const auto resa = generate(*engine, request);
  EXPECT_EQ(resa.attention.mode, AttentionMode::kResa);
  EXPECT_EQ(resa.attention.rectifications, 99 / 31U);
}

TEST(Modes, AutoRepeatsItselfWithACalibration) {
  const auto engine = load({});
  engine->set_calibration(sparse_is_cheap());
  auto request = request_of(AttentionMode::kAuto, 300, random_tokens(600, 10));
  request.sampling.temperature = 1.0F;
  request.sampling.seed = 3;
  const auto once = generate(*engine, request);
  EXPECT_GT(once.attention.drafted, 0U);
  EXPECT_EQ(once.tokens, generate(*engine, request).tokens);
}

TEST(Modes, ResaRectifiesEveryFTokens) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kResa, 321, random_tokens(400, 7));
  request.attention.rectify_every = 32;
  const auto result = generate(*engine, request);
  // The first token comes from the prefill; 320 steps follow, every one sparse at this length.
  EXPECT_EQ(result.attention.sparse_steps, 320U);
  EXPECT_EQ(result.attention.rectifications, 10U);
}

// With f = 1 every stored K and V is dense: only the newest token's own logits are sparse. A dense
// continuation then says what it would say after a dense prefill of the same tokens.
TEST(Modes, ResaLeavesADenseCache) {
  const auto engine = load({});
  auto session = engine->new_session();
  auto request = request_of(AttentionMode::kResa, 100, random_tokens(400, 8));
  request.attention.rectify_every = 1;
  ASSERT_TRUE(session->generate(request).has_value());
  const std::vector<int32_t> text(session->tokens().begin(), session->tokens().end());
  const auto continued = session->generate(request_of(AttentionMode::kDense, 50, {}));
  ASSERT_TRUE(continued.has_value());
  EXPECT_EQ(continued->tokens,
            generate(*engine, request_of(AttentionMode::kDense, 50, text)).tokens);
}

// A partial rectification that asks for every block is the dense one, bit for bit.
TEST(Modes, WideRectificationAtRatioOneIsDense) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kResa, 300, random_tokens(700, 12));
  const auto dense = generate(*engine, request);
  request.attention.rectify = RectifyKind::kWide;
  request.attention.rectify_ratio = 1.0;
  const auto wide = generate(*engine, request);
  EXPECT_EQ(dense.tokens, wide.tokens);
  EXPECT_EQ(wide.attention.rectified_blocks_read, dense.attention.rectified_blocks_total);
}

// A narrower one reads less, keeps its rhythm, and a later dense turn computes all of it again.
TEST(Modes, PartialRectificationReadsLessAndIsNotTakenForDense) {
  const auto engine = load({});
  for (const RectifyKind kind : {RectifyKind::kWide, RectifyKind::kAdaptive}) {
    auto session = engine->new_session();
    auto request = request_of(AttentionMode::kResa, 321, random_tokens(700, 13));
    request.attention.rectify = kind;
    request.attention.rectify_ratio = 0.05;
    request.attention.rectify_tolerance = 0.9;
    const auto result = session->generate(request);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->attention.rectifications, 10U);
    EXPECT_LT(result->attention.rectified_blocks_read, result->attention.rectified_blocks_total);
    const std::vector<int32_t> text(session->tokens().begin(), session->tokens().end());
    const auto continued = session->generate(request_of(AttentionMode::kDense, 60, {}));
    ASSERT_TRUE(continued.has_value());
    EXPECT_EQ(continued->tokens,
              generate(*engine, request_of(AttentionMode::kDense, 60, text)).tokens);
  }
}

// More tokens than a pass takes rows: the pieces end where the cache ends.
TEST(Modes, PartialRectificationGoesInPieces) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.prefill_chunk = 20;
  const auto engine = Engine::load(options).value();
  auto request = request_of(AttentionMode::kResa, 101, random_tokens(400, 14));
  const auto dense = generate(*engine, request);
  request.attention.rectify = RectifyKind::kWide;
  request.attention.rectify_ratio = 1.0;
  const auto wide = generate(*engine, request);
  EXPECT_EQ(wide.tokens, dense.tokens);
  EXPECT_EQ(wide.attention.rectifications, 3U);
}

// A dense turn after a sparse one starts by computing again what the sparse steps left.
TEST(Modes, DenseAfterSparseStartsClean) {
  const auto engine = load({});
  auto session = engine->new_session();
  ASSERT_TRUE(session->generate(request_of(AttentionMode::kSparse, 200, random_tokens(400, 9)))
                  .has_value());
  const std::vector<int32_t> text(session->tokens().begin(), session->tokens().end());
  const auto continued = session->generate(request_of(AttentionMode::kDense, 80, {}));
  ASSERT_TRUE(continued.has_value());
  EXPECT_EQ(continued->tokens,
            generate(*engine, request_of(AttentionMode::kDense, 80, text)).tokens);
}

TEST(Modes, ATurnInTwoPartsIsOneTurn) {
  const auto engine = load({});
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                   AttentionMode::kResa, AttentionMode::kExact}) {
    const auto prompt = random_tokens(300, 10);
    auto request = request_of(mode, 200, prompt);
    request.sampling.temperature = 1.0F;
    const auto whole = generate(*engine, request);
    auto session = engine->new_session();
    request.max_tokens = 90;
    auto parts = session->generate(request)->tokens;
    request.prompt.clear();
    request.max_tokens = 110;
    const auto second = session->generate(request)->tokens;
    parts.insert(parts.end(), second.begin(), second.end());
    EXPECT_EQ(whole.tokens, parts) << to_string(mode);
  }
}

// An answer that is broken off anywhere goes on from its last mark as if nothing had been.
TEST(Modes, AnAnswerThatIsResumedIsTheWholeAnswer) {
  const auto engine = load({});
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                   AttentionMode::kResa, AttentionMode::kExact}) {
    const auto prompt = random_tokens(300, 10);
    auto request = request_of(mode, 100, prompt);
    request.sampling.temperature = 1.0F;
    request.sampling.repetition_penalty = 1.1F;
    request.attention.min_blocks = 2;
    std::vector<std::string> pieces;
    request.on_text = [&](std::string_view text) { return pieces.emplace_back(text), true; };
    std::vector<std::pair<size_t, size_t>> marks;
    request.on_mark = [&](std::span<const int32_t> tokens, size_t n_resumable) {
      marks.emplace_back(tokens.size(), n_resumable);
    };
    const auto whole = generate(*engine, request);
    const auto whole_pieces = std::exchange(pieces, {});
    ASSERT_EQ(whole.tokens.size(), 100U);
    EXPECT_EQ(whole.attention.sparse_steps > 0, mode != AttentionMode::kDense);
    ASSERT_FALSE(marks.empty());
    const auto all_marks = std::exchange(marks, {});
    for (const size_t n : {size_t{1}, size_t{37}, size_t{64}, size_t{99}, size_t{100}}) {
      size_t n_resumable = 0;  // when n tokens had been said
      for (const auto& [n_said, n_then] : all_marks) {
        EXPECT_LE(n_then, n_said);
        if (n_said <= n) n_resumable = n_then;
      }
      EXPECT_TRUE(mode != AttentionMode::kDense || n_resumable == n) << n_resumable;
      SCOPED_TRACE(fmt::format("{} resumed at {} of {}", to_string(mode), n_resumable, n));
      GenerateRequest rest = request;
      rest.n_resumed = n_resumable;
      rest.prompt.insert(rest.prompt.end(), whole.tokens.begin(),
                         whole.tokens.begin() + static_cast<std::ptrdiff_t>(n_resumable));
      const auto resumed = generate(*engine, rest);
      EXPECT_EQ(resumed.tokens, whole.tokens);
      EXPECT_EQ(resumed.text, whole.text);
      EXPECT_EQ(std::exchange(pieces, {}), whole_pieces);
    }
  }
}

// With a temperature, too, `exact` says what `dense` says, and sparse decoding alone does not.
TEST(Modes, ExactSamplesWhatDenseSamples) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kDense, 400, random_tokens(400, 11));
  request.sampling.temperature = 1.0F;
  request.sampling.top_p = 0.95F;
  request.sampling.repetition_penalty = 1.1F;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    request.sampling.seed = seed;
    request.attention.mode = AttentionMode::kDense;
    const auto dense = generate(*engine, request);
    request.attention.mode = AttentionMode::kSparse;
    EXPECT_NE(generate(*engine, request).tokens, dense.tokens);
    request.attention.mode = AttentionMode::kExact;
    const auto exact = generate(*engine, request);
    EXPECT_EQ(exact.tokens, dense.tokens);
    EXPECT_GT(exact.attention.accepted, 0U);
    EXPECT_LT(exact.attention.accepted, exact.attention.drafted);
  }
}

TEST(Modes, SameSeedSameText) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kExact, 200, random_tokens(400, 12));
  request.sampling.temperature = 0.8F;
  request.sampling.seed = 42;
  const auto first = generate(*engine, request);
  EXPECT_EQ(first.tokens, generate(*engine, request).tokens);
  request.sampling.seed = 43;
  EXPECT_NE(first.tokens, generate(*engine, request).tokens);
}

TEST(Modes, SavedAndRestoredSessionGoesOnAlike) {
  const auto engine = load({});
  const std::string path = testing::TempDir() + "modes_test.state";
  auto session = engine->new_session();
  ASSERT_TRUE(
      session->generate(request_of(AttentionMode::kDense, 60, random_tokens(300, 13))).has_value());
  const auto saved = session->save(path);
  ASSERT_TRUE(saved.has_value()) << saved.error().message;
  auto copy = engine->new_session();
  const auto n_tokens = copy->restore(path);
  ASSERT_TRUE(n_tokens.has_value()) << n_tokens.error().message;
  EXPECT_EQ(*n_tokens, session->tokens().size());
  const auto go_on = request_of(AttentionMode::kExact, 100, {});
  EXPECT_EQ(session->generate(go_on)->tokens, copy->generate(go_on)->tokens);
  std::filesystem::remove(path);
}

TEST(Modes, StateOfAnotherModelIsRefused) {
  const std::string path = testing::TempDir() + "modes_test_other.state";
  const auto engine = load({});
  auto session = engine->new_session();
  ASSERT_TRUE(
      session->generate(request_of(AttentionMode::kDense, 5, random_tokens(30, 14))).has_value());
  ASSERT_TRUE(session->save(path).has_value());
  TinyModelSpec other;
  other.seed = 99;
  const auto other_engine = load(other);
  auto other_session = other_engine->new_session();
  ASSERT_FALSE(other_session->restore(path).has_value());
  EXPECT_TRUE(other_session->tokens().empty());
  std::filesystem::remove(path);
}

TEST(Modes, PromptBeyondTheContextIsRefusedWithBothCounts) {
  const auto engine = load({}, KvType::kF16, 1, 256);
  auto session = engine->new_session();
  const auto result =
      session->generate(request_of(AttentionMode::kDense, 10, random_tokens(300, 15)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_NE(result.error().message.find("300"), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("256"), std::string::npos) << result.error().message;
  EXPECT_TRUE(session->tokens().empty());
}

TEST(Modes, GenerationStopsAtTheEndOfTheContext) {
  const auto engine = load({}, KvType::kF16, 1, 256);
  for (const AttentionMode mode :
       {AttentionMode::kDense, AttentionMode::kExact, AttentionMode::kResa}) {
    const auto result = generate(*engine, request_of(mode, 1000, random_tokens(200, 16)));
    EXPECT_EQ(result.tokens.size(), 56U) << to_string(mode);
    EXPECT_EQ(result.finish_reason, FinishReason::kLength);
  }
}

TEST(Modes, ContextBeyondTheTrainedOneIsWarnedAbout) {
  const auto engine = load({}, KvType::kF16, 1, 8192);
  ASSERT_EQ(engine->warnings().size(), 1U);
  EXPECT_NE(engine->warnings()[0].find("4096"), std::string::npos);
}

TEST(Modes, StopStringsMaySpanTokensAndEndTheText) {
  const auto engine = load({});
  auto request = request_of(AttentionMode::kDense, 200, random_tokens(100, 17));
  const auto free_run = generate(*engine, request);
  // Two neighbouring characters of the free text, from the first place where they are plain ASCII.
  std::string stop;
  for (size_t i = 10; i + 1 < free_run.text.size() && stop.empty(); ++i) {
    if (free_run.text[i] > 32 && free_run.text[i] < 127 && free_run.text[i + 1] > 32 &&
        free_run.text[i + 1] < 127) {
      stop = free_run.text.substr(i, 2);
    }
  }
  ASSERT_FALSE(stop.empty());
  request.stop = {stop};
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kExact}) {
    request.attention.mode = mode;
    std::string streamed;
    request.on_text = [&](std::string_view text) {
      streamed += text;
      return true;
    };
    const auto stopped = generate(*engine, request);
    EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
    EXPECT_EQ(stopped.text, free_run.text.substr(0, free_run.text.find(stop)));
    EXPECT_EQ(streamed, stopped.text);
  }
}

TEST(Modes, CallerCanStop) {
  const auto engine = load({});
  auto session = engine->new_session();
  auto request = request_of(AttentionMode::kDense, 200, random_tokens(100, 18));
  request.on_progress = [](size_t, size_t, size_t generated) { return generated < 10; };
  const auto result = session->generate(request);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(result->tokens.size(), 10U);
  EXPECT_EQ(session->tokens().size(), 110U);
  EXPECT_TRUE(session->generate(request_of(AttentionMode::kDense, 5, {})).has_value());
}

TEST(Modes, ImpossibleOptionsAreNamed) {
  AttentionOptions options;
  EXPECT_TRUE(validate(options, 16).has_value());
  options.sparse_ratio = 0;
  EXPECT_NE(validate(options, 16).error().message.find("ratio"), std::string::npos);
  options = {};
  options.token_budget = 15;
  EXPECT_NE(validate(options, 16).error().message.find("budget"), std::string::npos);
  options = {};
  options.selector = "magic";
  EXPECT_NE(validate(options, 16).error().message.find("magic"), std::string::npos);
  EngineOptions engine_options;
  engine_options.model_path = write_tiny_model({});
  engine_options.block_size = 3;
  const auto engine = Engine::load(engine_options);
  ASSERT_FALSE(engine.has_value());
  EXPECT_NE(engine.error().message.find("block"), std::string::npos) << engine.error().message;
}

}  // namespace
}  // namespace longhaul
