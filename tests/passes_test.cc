// What goes into a pass: Packer's order and limits, and that texts of several threads share passes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "engine/packer.h"
#include "engine/scheduler.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

using Runs = std::vector<Run*>;

struct Rig {
  explicit Rig(size_t max_rows)
      : pool(1),
        file(GgufFile::open(write_tiny_model({})).value()),
        model(Model::load(file, pool, max_rows).value()),
        states(make_tiny_states(*model, file, {.n_sequences = 12, .n_tokens = 1024})) {}

  ThreadPool pool;
  GgufFile file;
  std::unique_ptr<Model> model;
  TinyStates states;
};

// All of the text in one step with logits for each token, as verification has it. Once.
class VerifyMode : public DecodeMode {
 public:
  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  bool owes(const Run&) const override { return true; }
  Planned plan(Run& run) override {
    const auto tokens = run.text().tokens();
    return {run.text().step(tokens, tokens.size()), Work::kChunk};
  }
  Status take(Run&, const Step&, MatrixView<const float>) override { return {}; }
};

// The same step again and again.
class EndlessMode : public DecodeMode {
 public:
  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  Planned plan(Run& run) override { return run.dense_step(); }
  Status take(Run& run, const Step&, MatrixView<const float>) override {
    run.text().rewind(run.text().size() - 1);
    return {};
  }
};

struct RunParts {
  Text its_text;
  AttentionOptions its_options;
};

// A text that says the same token again and again, and tells `log` its number whenever it does.
class TestRun : private RunParts, public Run {
 public:
  struct Spec {
    size_t n_prompt = 1;  // read before decoding
    size_t max_tokens = 100;
    std::unique_ptr<DecodeMode> mode = make_dense_mode();
    size_t number = 0;
    std::vector<size_t>* log = nullptr;
  };

  TestRun(Rig& rig, Spec spec)
      : RunParts{Text(rig.states.pool->new_sequence()), {}},
        Run(its_text, its_options, std::move(spec.mode),
            Sampler::create({}, rig.model->plan().vocab_size).value(), rig.model->max_rows(),
            spec.n_prompt + spec.max_tokens),
        number_(spec.number),
        log_(spec.log) {
    its_text.append(random_tokens(spec.n_prompt, spec.number));
    profile_ = &profile;
    read_first(spec.n_prompt, true, false);
  }

  // Nothing is read before the mode begins.
  void skip_reading() { read_first(0, false, false); }

  Status append(std::span<const float>) override {
    text().append(1);
    if (log_ != nullptr) log_->push_back(number_);
    return {};
  }
  bool has_news() const override { return false; }
  void deliver() override {}
  void settle() override {}
  bool has_callbacks() const override { return false; }
  bool wants_cancel() const override {
    was_seen = true;
    return cancels && cancels();
  }
  void cancel() override { stop_at(text().size()); }

  Profile profile;
  mutable std::atomic<bool> was_seen = false;  // the scheduler has it in its list
  std::function<bool()> cancels;

 private:
  size_t number_;
  std::vector<size_t>* log_;
};

// One that has read its prompt of one token, so that its next step is one token.
TestRun& add_talker(std::deque<TestRun>& runs, Rig& rig, Packer& packer) {
  TestRun& run = runs.emplace_back(rig, TestRun::Spec{});
  run.begin();
  Run* only = &run;
  packer.run({&only, 1});
  return run;
}

TestRun& add_verifier(std::deque<TestRun>& runs, Rig& rig, size_t n_tokens) {
  TestRun& run = runs.emplace_back(
      rig, TestRun::Spec{.n_prompt = n_tokens, .mode = std::make_unique<VerifyMode>()});
  run.skip_reading();
  run.begin();
  return run;
}

TestRun& add_reader(std::deque<TestRun>& runs, Rig& rig, size_t n_prompt) {
  TestRun& run = runs.emplace_back(rig, TestRun::Spec{.n_prompt = n_prompt});
  run.begin();
  return run;
}

Runs ran(const Packer& packer) { return {packer.ran().begin(), packer.ran().end()}; }

TEST(Packer, NewestTokensThenChunksThenPromptsCutToWhatIsLeft) {
  Rig rig(8);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  TestRun& reader = add_reader(runs, rig, 20);
  TestRun& verifier = add_verifier(runs, rig, 4);
  TestRun& talker = add_talker(runs, rig, packer);
  packer.run(Runs{&reader, &verifier, &talker});
  EXPECT_EQ(ran(packer), (Runs{&talker, &verifier, &reader}));
  EXPECT_EQ(reader.text().n_cached(), 3U);
  // Beside others it has a quarter of a pass and one, alone all of it.
  packer.run(Runs{&reader, &talker});
  EXPECT_EQ(reader.text().n_cached(), 6U);
  packer.run(Runs{&reader});
  EXPECT_EQ(reader.text().n_cached(), 14U);
}

TEST(Packer, ShortPromptsGoBeforeLongOnes) {
  Rig rig(16);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  TestRun& longer = add_reader(runs, rig, 40);
  TestRun& shorter = add_reader(runs, rig, 9);
  packer.run(Runs{&longer, &shorter});
  EXPECT_EQ(ran(packer), (Runs{&shorter, &longer}));
  EXPECT_EQ(shorter.text().n_cached(), 9U);
  EXPECT_EQ(longer.text().n_cached(), 5U);
}

TEST(Packer, RowsWithLogitsStayTogether) {
  Rig rig(8);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  TestRun& verifier = add_verifier(runs, rig, 8);
  TestRun& talker = add_talker(runs, rig, packer);
  packer.run(Runs{&verifier, &talker});
  EXPECT_EQ(ran(packer), Runs{&talker});
  EXPECT_EQ(verifier.n_missed, 1U);
  packer.run(Runs{&verifier});
  EXPECT_EQ(ran(packer), Runs{&verifier});
  EXPECT_EQ(verifier.n_missed, 0U);
}

// 512 rows of logits, unless one step has more.
TEST(Packer, LogitsHaveALimit) {
  Rig rig(1024);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  TestRun& first = add_verifier(runs, rig, 300);
  TestRun& too_many = add_verifier(runs, rig, 213);
  TestRun& fits = add_verifier(runs, rig, 212);
  TestRun& large = add_verifier(runs, rig, 600);
  packer.run(Runs{&first, &too_many, &fits});
  EXPECT_EQ(ran(packer), (Runs{&first, &fits}));
  packer.run(Runs{&large});
  EXPECT_EQ(ran(packer), Runs{&large});
}

// A prompt that eight passes had no room for goes first, in a quarter of the rows and one.
TEST(Packer, PatienceHasAnEnd) {
  Rig rig(8);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  TestRun& reader = add_reader(runs, rig, 20);
  Runs all = {&reader};
  for (size_t i = 0; i < 8; ++i) all.push_back(&add_talker(runs, rig, packer));
  for (size_t i = 0; i < 8; ++i) {
    packer.run(all);
    ASSERT_EQ(packer.ran().size(), 8U);
    ASSERT_EQ(reader.n_missed, i + 1);
  }
  EXPECT_EQ(reader.text().n_cached(), 0U);
  packer.run(all);
  EXPECT_EQ(packer.ran().front(), &reader);
  EXPECT_EQ(packer.ran().size(), 6U);
  EXPECT_EQ(reader.text().n_cached(), 3U);
  EXPECT_EQ(reader.n_missed, 0U);
}

TEST(Packer, EqualsTakeTurns) {
  Rig rig(8);
  Packer packer(*rig.model);
  std::deque<TestRun> runs;
  Runs all;
  for (size_t i = 0; i < 9; ++i) all.push_back(&add_talker(runs, rig, packer));
  for (size_t i = 0; i < 9; ++i) packer.run(all);
  for (const TestRun& run : runs) EXPECT_EQ(run.text().size(), 2U + 8U);
}

// Four threads begin beside a text that holds all room; once the scheduler has seen them all it
// ends. From then on every pass has all four, so that four texts take the passes of one.
TEST(Scheduler, TextsOfSeveralThreadsShareEveryPass) {
  constexpr size_t kTexts = 4;
  constexpr size_t kTokens = 32;
  Rig rig(64);
  Scheduler scheduler(*rig.model, *rig.states.pool);
  std::vector<size_t> log;
  std::deque<TestRun> texts;
  for (size_t i = 0; i < kTexts; ++i) {
    texts.emplace_back(
        rig, TestRun::Spec{.n_prompt = 3, .max_tokens = kTokens, .number = i, .log = &log});
  }
  const CacheUsage usage = rig.states.pool->usage();
  TestRun first(rig, {.max_tokens = usage.pages * usage.page_tokens - 1,
                      .mode = std::make_unique<EndlessMode>()});
  first.cancels = [&] {
    return std::all_of(texts.begin(), texts.end(),
                       [](const TestRun& text) { return text.was_seen.load(); });
  };
  std::jthread holds_room([&] { EXPECT_TRUE(scheduler.run(first)); });
  while (!first.was_seen) std::this_thread::yield();
  std::vector<std::jthread> threads;
  for (TestRun& text : texts) {
    threads.emplace_back([&] { EXPECT_TRUE(scheduler.run(text)); });
  }
  threads.clear();
  holds_room.join();

  ASSERT_EQ(log.size(), kTexts * kTokens);
  for (size_t at = 0; at < log.size(); at += kTexts) {
    EXPECT_EQ(std::set<size_t>(&log[at], &log[at] + kTexts).size(), kTexts) << "pass " << at;
  }
  for (const TestRun& text : texts) {
    EXPECT_EQ(text.profile.prompt.n_passes, 1U);
    EXPECT_EQ(text.profile.steps.n_passes, kTokens - 1);
  }
}

}  // namespace
}  // namespace longhaul
