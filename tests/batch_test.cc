// Many texts in one engine: each says what it says alone, bit for bit, whatever runs beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "longhaul/engine.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

std::unique_ptr<Engine> load(size_t max_sessions, size_t ctx_size, size_t prefill_chunk) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.ctx_size = ctx_size;
  options.max_sessions = max_sessions;
  options.prefill_chunk = prefill_chunk;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  if (!engine) return nullptr;
  Calibration calibration;  // sparse passes cost next to nothing, dense ones the same for all rows
  calibration.pass_ms = {0.001, 0.003, 0.008, 0.032};
  calibration.attention_ns = {1e6, 1e6, 1e6, 1e6};
  (*engine)->set_calibration(calibration);
  return std::move(*engine);
}

// Requests of all modes, greedy and sampled, by their number.
GenerateRequest request_of(size_t number, size_t n_prompt, size_t max_tokens) {
  constexpr AttentionMode kModes[] = {AttentionMode::kDense, AttentionMode::kExact,
                                      AttentionMode::kResa, AttentionMode::kAuto,
                                      AttentionMode::kSparse};
  GenerateRequest request;
  request.prompt = random_tokens(n_prompt, number);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.profile = true;
  request.attention.mode = kModes[number % 5];
  request.attention.sparse_ratio = 0.05;
  request.attention.min_blocks = 4;
  request.attention.rectify_every = 8;
  if (number % 3 == 1) request.attention.rectify = RectifyKind::kWide;
  if (number % 2 == 1) {
    request.sampling.temperature = 1.0F;
    request.sampling.seed = number;
    request.sampling.repetition_penalty = 1.1F;
  }
  return request;
}

struct Outcome {
  std::vector<int32_t> tokens;
  uint64_t hash = 0;
  std::string error;
};

Outcome outcome_of(const Result<GenerateResult>& result) {
  if (!result) return {{}, 0, result.error().message};
  return {result->tokens, result->profile.logits_hash, ""};
}

void expect_same(const Outcome& alone, const Outcome& together, size_t number) {
  EXPECT_EQ(together.error, alone.error) << number;
  EXPECT_EQ(together.tokens, alone.tokens) << number;
  EXPECT_EQ(together.hash, alone.hash) << number;
}

struct Size {
  size_t n_texts, n_prompt, max_tokens;
};
#ifdef __SANITIZE_THREAD__
constexpr Size kSize{6, 100, 12};
#else
constexpr Size kSize{10, 220, 40};
#endif

// With passes of 40 rows prompts come in pieces, among which the others decode; with 512 they fit.
class Together : public testing::TestWithParam<size_t> {};

TEST_P(Together, EveryTextIsWhatItIsAlone) {
  std::vector<Outcome> alone(kSize.n_texts);
  {
    const auto engine = load(1, 512, 512);
    for (size_t i = 0; i < kSize.n_texts; ++i) {
      Session session = engine->new_session().value();
      alone[i] =
          outcome_of(session.generate(request_of(i, kSize.n_prompt + 7 * i, kSize.max_tokens)));
      EXPECT_EQ(alone[i].error, "");
    }
  }
  const auto engine = load(kSize.n_texts, 512, GetParam());
  std::latch start(static_cast<std::ptrdiff_t>(kSize.n_texts));
  std::vector<Outcome> together(kSize.n_texts);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < kSize.n_texts; ++i) {
    threads.emplace_back([&, i] {
      Session session = engine->new_session().value();
      GenerateRequest request = request_of(i, kSize.n_prompt + 7 * i, kSize.max_tokens);
      const std::thread::id owner = std::this_thread::get_id();
      if (i % 4 == 0) {
        request.on_progress = [owner](size_t, size_t, size_t) {
          EXPECT_EQ(std::this_thread::get_id(), owner);
          return true;
        };
      }
      start.arrive_and_wait();
      together[i] = outcome_of(session.generate(request));
    });
  }
  threads.clear();
  for (size_t i = 0; i < kSize.n_texts; ++i) expect_same(alone[i], together[i], i);
}

INSTANTIATE_TEST_SUITE_P(Rows, Together, testing::Values(40, 512));

// Each thread takes its text through random forks, cuts, pauses and cancellations; the text at the
// end is that of the same walk alone.
std::vector<int32_t> walk(Engine& engine, size_t number, const std::vector<int32_t>& prompt) {
  std::mt19937_64 random(number);
  Session session = engine.new_session().value();
  GenerateRequest request = request_of(number, 0, 0);
  request.prompt = prompt;
  for (int step = 0; step < 8; ++step) {
    request.max_tokens = random() % 12;
    request.on_progress = nullptr;
    switch (random() % 4) {
      case 0: {
        Session copy = session.fork().value();
        session = std::move(copy);
        break;
      }
      case 1:
        if (session.tokens().size() > prompt.size()) {
          session.truncate(session.tokens().size() - random() % 5);
        }
        break;
      case 2: {
        const size_t n_most = random() % 6;
        request.on_progress = [n_most](size_t, size_t, size_t generated) {
          return generated < n_most;
        };
        break;
      }
      default:
        break;
    }
    const auto result = session.generate(request);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    request.prompt.clear();
    if (random() % 3 == 0) request.prompt = random_tokens(random() % 20, random());
  }
  return {session.tokens().begin(), session.tokens().end()};
}

TEST(Batch, RandomWalksAreWhatTheyAreAlone) {
  const size_t n_walks = kSize.n_texts;
  std::vector<std::vector<int32_t>> alone(n_walks), together(n_walks);
  const auto prompt_of = [](size_t i) { return random_tokens(kSize.n_prompt, 100 + i); };
  {
    const auto engine = load(2, 1024, 512);
    for (size_t i = 0; i < n_walks; ++i) alone[i] = walk(*engine, i, prompt_of(i));
  }
  const auto engine = load(2 * n_walks, 1024, 64);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < n_walks; ++i) {
    threads.emplace_back([&, i] { together[i] = walk(*engine, i, prompt_of(i)); });
  }
  threads.clear();
  for (size_t i = 0; i < n_walks; ++i) EXPECT_EQ(together[i], alone[i]) << i;
}

// Pages of 256 tokens, three of them: two texts do not fit beside one another, so that one waits.
TEST(Batch, TextsWaitForRoom) {
  const auto engine = load(1, 512, 512);
  std::vector<std::jthread> threads;
  std::atomic<size_t> n_done = 0;
  for (size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      Session session = engine->new_session().value();
      GenerateRequest request = request_of(i, 230, 40);
      request.wait_for_room = true;
      const auto result = session.generate(request);
      EXPECT_TRUE(result) << (result ? "" : result.error().message);
      if (result && result->tokens.size() == 40) ++n_done;
    });
  }
  threads.clear();
  EXPECT_EQ(n_done, 3U);
}

TEST(Batch, WhatDoesNotFitIsRefusedWithTheCounts) {
  const auto engine = load(1, 512, 512);
  Session idle = engine->new_session().value();
  ASSERT_TRUE(idle.fill_random(512, 1));
  Session session = engine->new_session().value();
  const auto result = session.generate(request_of(0, 230, 40));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kOutOfMemory);
  for (const std::string part : {"270 tokens", "needs 2 more pages of 256", "1 of 3 are free"}) {
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
  EXPECT_TRUE(session.tokens().empty());
}

TEST(Batch, AWaitingTextCanBeCancelled) {
  const auto engine = load(1, 512, 512);
  Session idle = engine->new_session().value();
  ASSERT_TRUE(idle.fill_random(512, 1));
  std::stop_source stop;
  std::latch started(1);
  std::jthread thread([&] {
    Session session = engine->new_session().value();
    GenerateRequest request = request_of(0, 230, 40);
    request.wait_for_room = true;
    request.cancel = stop.get_token();
    started.count_down();
    const auto result = session.generate(request);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->finish_reason, FinishReason::kCancelled);
    EXPECT_TRUE(result->tokens.empty());
  });
  started.wait();
  stop.request_stop();
}

// What is promised to a text that runs nobody else takes.
TEST(Batch, NobodyTakesThePagesOfATextThatRuns) {
  const auto engine = load(2, 512, 512);  // six pages
  const std::string path = testing::TempDir() + "batch_promises_test.state";
  Session other = engine->new_session().value();
  EXPECT_TRUE(other.generate(request_of(0, 200, 1)));
  EXPECT_TRUE(other.save(path));
  Session filler = engine->new_session().value();
  EXPECT_TRUE(filler.fill_random(512, 1));
  Session session = engine->new_session().value();
  GenerateRequest request = request_of(0, 250, 20);  // one page, soon two: of two that are free
  std::vector<std::string> errors;
  const auto keep = [&](const auto& result) {
    errors.push_back(result ? "" : result.error().message);
  };
  request.on_progress = [&](size_t, size_t, size_t generated) {
    if (generated != 2) return true;
    Session reader = engine->new_session().value();
    keep(reader.fill_random(257, 1));  // two pages
    keep(other.restore(path));         // one page beside its own, then one again
    keep(reader.restore(path));        // one page
    keep(engine->new_session().value().restore(path));
    filler.truncate(256);
    keep(other.fork());  // two pages set aside
    return true;
  };
  const auto result = session.generate(request);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(session.tokens().size(), 270U);
  ASSERT_EQ(errors.size(), 5U);
  for (const size_t i : {0, 3, 4})
    EXPECT_NE(errors[i].find("full"), std::string::npos) << i << errors[i];
  for (const size_t i : {1, 2}) EXPECT_EQ(errors[i], "");
}

// One text finds no page half way, since those it reads again are shared; the other does not
// notice.
TEST(Batch, AFullCacheStopsOneText) {
  const auto engine = load(2, 512, 512);  // six pages
  Outcome alone;
  {
    Session session = engine->new_session().value();
    alone = outcome_of(session.generate(request_of(0, 100, 100)));
  }
  Session stale = engine->new_session().value();
  GenerateRequest sparse = request_of(4, 250, 200);
  sparse.sampling = {};
  ASSERT_TRUE(stale.generate(sparse));
  const Session copy = stale.fork().value();
  const Session copy2 = stale.fork().value();
  Outcome calm;
  std::string error;
  Session session = engine->new_session().value();
  GenerateRequest request = request_of(0, 100, 100);
  request.on_progress = [&](size_t, size_t, size_t generated) {
    if (generated == 2) {
      std::jthread([&] {
        const Status saved = stale.save(testing::TempDir() + "batch_full_test.state");
        error = saved ? "" : saved.error().message;
      }).join();
    }
    return true;
  };
  calm = outcome_of(session.generate(request));
  expect_same(alone, calm, 0);
  EXPECT_NE(error.find("full"), std::string::npos) << error;
}

// Every other call of the API beside texts that run.
TEST(Batch, OtherCallsTakeTurnsWithPasses) {
  const auto engine = load(8, 512, 64);
  std::atomic<bool> over = false;
  std::jthread talker([&] {
    for (size_t i = 0; i < 5; ++i) {
      Session session = engine->new_session().value();
      EXPECT_TRUE(session.generate(request_of(i, 60, 20)));
    }
    over = true;
  });
  const std::string path = testing::TempDir() + "batch_test.state";
  do {
    Session session = engine->new_session().value();
    EXPECT_TRUE(session.generate(request_of(4, 40, 3)));
    EXPECT_TRUE(session.save(path));
    Session copy = session.fork().value();
    copy.truncate(20);
    EXPECT_TRUE(session.restore(path));
    EXPECT_TRUE(copy.fill_random(300, 2));
    ScoreRequest score;
    score.tokens = random_tokens(20, 3);
    size_t n_seen = 0;
    score.on_token = [&](const ScoredToken&) { return ++n_seen > 0; };
    EXPECT_TRUE(session.score(score));
    EXPECT_EQ(n_seen, 20U);
    EXPECT_TRUE(session.cache_error(copy, 0, 20));
    EXPECT_TRUE(engine->calibration());
  } while (!over);
}

TEST(Batch, AnExceptionOfACallbackLeavesTheEngineUsable) {
  const auto engine = load(2, 512, 512);
  Session session = engine->new_session().value();
  GenerateRequest request = request_of(0, 50, 20);
  request.on_progress = [](size_t, size_t, size_t generated) -> bool {
    if (generated == 5) throw std::runtime_error("callback");
    return true;
  };
  EXPECT_THROW((void)session.generate(request), std::runtime_error);
  request.on_progress = nullptr;
  request.prompt.clear();
  EXPECT_TRUE(session.generate(request));
}

}  // namespace
}  // namespace longhaul
