// Clean tokens as bytes: a session put together from them is, bit for bit, one that read its text.
#include <gtest/gtest.h>

#include "io/test_dir.h"
#include "longhaul/engine.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

std::unique_ptr<Engine> load(const std::string& path, size_t ctx_size = 512,
                             KvType k_type = KvType::kF16) {
  EngineOptions options;
  options.model_path = path;
  options.n_threads = 2;
  options.ctx_size = ctx_size;
  options.k_type = options.v_type = k_type;
  options.max_sessions = 2;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

GenerateRequest ask(std::vector<int32_t> prompt, size_t max_tokens, AttentionMode mode) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.attention.mode = mode;
  request.attention.sparse_ratio = 0.05;
  request.attention.min_blocks = 4;
  return request;
}

// The logits that the session has before each of some tokens.
std::vector<float> logits_of(Session& session) {
  ScoreRequest request;
  request.tokens = random_tokens(5, 99);
  std::vector<float> all;
  request.on_token = [&](const ScoredToken& token) {
    all.insert(all.end(), token.logits.begin(), token.logits.end());
    return true;
  };
  EXPECT_TRUE(session.score(request));
  return all;
}

using Pieces = std::vector<std::vector<std::byte>>;

// Some of the first session's tokens in one of another engine: a stretch of 64, then all others.
Session moved(const Session& from, Engine& to, size_t n_tokens) {
  Session session = to.new_session().value();
  Pieces pieces;
  for (size_t first = 0; first < n_tokens; first += 64) {
    auto bytes = from.export_clean(first, 64);
    EXPECT_TRUE(bytes) << bytes.error().message;
    pieces.push_back(std::move(*bytes));
  }
  EXPECT_TRUE(session.import_clean(from.tokens().first(64), std::span(pieces).first(1)));
  EXPECT_TRUE(
      session.import_clean(from.tokens().subspan(64, n_tokens - 64), std::span(pieces).subspan(1)));
  return session;
}

TEST(CleanTokens, ASessionMadeOfThemIsOneThatReadThem) {
  const std::string path = write_tiny_model({});
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    const auto engine = load(path, 512, type), other = load(path, 512, type);
    EXPECT_EQ(engine->clean_format()->id, other->clean_format()->id);
    Session read = engine->new_session().value();
    const std::vector<int32_t> prompt = random_tokens(200, 1);
    ASSERT_TRUE(read.generate(ask(prompt, 0, AttentionMode::kDense)));
    Session session = moved(read, *other, 192);
    EXPECT_EQ(session.n_clean(), 192U);
    const CacheError error = session.cache_error(read, 0, 192).value();
    EXPECT_EQ(error.keys + error.values, 0);
    // Selectors find in it what they find elsewhere.
    read.truncate(192);
    const std::vector<int32_t> rest(prompt.begin() + 192, prompt.end());
    const auto expected = read.generate(ask(rest, 60, AttentionMode::kSparse));
    const auto found = session.generate(ask(rest, 60, AttentionMode::kSparse));
    ASSERT_TRUE(expected && found);
    EXPECT_GT(expected->attention.sparse_steps, 0U);
    EXPECT_EQ(found->tokens, expected->tokens);
    EXPECT_EQ(logits_of(session), logits_of(read));
  }
}

TEST(CleanTokens, WhatSparseStepsLeftIsNotGiven) {
  const auto engine = load(write_tiny_model({}));
  Session session = engine->new_session().value();
  ASSERT_TRUE(session.generate(ask(random_tokens(160, 2), 80, AttentionMode::kSparse)));
  ASSERT_LT(session.n_clean(), 176U);
  EXPECT_TRUE(session.export_clean(0, 160));
  EXPECT_FALSE(session.export_clean(0, 176));
  EXPECT_FALSE(session.export_clean(0, 15));
  EXPECT_FALSE(session.export_clean(8, 16));
  Session random = engine->new_session().value();
  ASSERT_TRUE(random.fill_random(64, 1));
  EXPECT_FALSE(random.export_clean(0, 16));
}

TEST(CleanTokens, WhatDoesNotFitChangesNothing) {
  const auto engine = load(write_tiny_model({}));
  Session read = engine->new_session().value();
  ASSERT_TRUE(read.generate(ask(random_tokens(60, 3), 0, AttentionMode::kDense)));
  const Pieces bytes = {read.export_clean(0, 32).value()};
  const auto tokens = read.tokens().first(32);
  EXPECT_FALSE(read.import_clean(tokens, bytes));  // behind 60 tokens
  Session session = engine->new_session().value();
  EXPECT_FALSE(session.import_clean(tokens.first(16), bytes));
  EXPECT_FALSE(session.import_clean(tokens.first(15), bytes));
  const Pieces halves = {read.export_clean(0, 16).value(), bytes[0]};
  EXPECT_FALSE(session.import_clean(tokens, halves));  // the second is of another length
  EXPECT_FALSE(session.import_clean(tokens, {}));
  const std::vector<int32_t> strange(32, 1 << 20);
  EXPECT_FALSE(session.import_clean(strange, bytes));
  EXPECT_EQ(session.tokens().size(), 0U);
  ASSERT_TRUE(session.fill_random(512 - 16, 1));
  EXPECT_FALSE(session.import_clean(tokens, bytes));  // the context is full
  EXPECT_EQ(session.tokens().size(), 512U - 16);
}

TEST(CleanTokens, FormatsTellModelsAndTypesApart) {
  const std::string path = write_tiny_model({});
  TinyModelSpec other_spec;
  other_spec.seed += 1;
  const auto format = load(path)->clean_format().value();
  EXPECT_EQ(load(path, 256)->clean_format()->id, format.id);
  EXPECT_NE(load(write_tiny_model(other_spec))->clean_format()->id, format.id);
  EXPECT_NE(load(path, 512, KvType::kQ8_0)->clean_format()->id, format.id);
  // One bit of the last weight.
  std::string bytes = read_text(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const TestDir dir;
  write_text(dir.file("other.gguf"), bytes);
  EXPECT_NE(load(dir.file("other.gguf"))->clean_format()->id, format.id);
}

TEST(CleanTokens, WindowsAreRefusedInWords) {
  const auto engine = load(write_tiny_model(tiny_spec("gemma3")));
  const auto format = engine->clean_format();
  ASSERT_FALSE(format);
  EXPECT_NE(format.error().message.find("windows"), std::string::npos) << format.error().message;
  Session session = engine->new_session().value();
  ASSERT_TRUE(session.generate(ask(random_tokens(40, 4), 0, AttentionMode::kDense)));
  EXPECT_FALSE(session.export_clean(0, 16));
  EXPECT_FALSE(session.import_clean({}, {}));
}

}  // namespace
}  // namespace longhaul
