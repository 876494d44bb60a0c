// RetNet, YOCO and the Differential Transformers keep the promises that transformers keep: the same
// bits however a text is cut, batched, forked, taken back or restored, and `exact` is `dense`.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "longhaul/engine.h"
#include "model/cpu/backend.h"
#include "tests/requests.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

TinyModelSpec spec_of(const std::string& name) {
  TinyModelSpec spec = tiny_spec(name == "yoco_window" ? "yoco" : name);
  if (name == "yoco_window") spec.window = 40;
  spec.type = TensorType::kQ8_0;
  return spec;
}

// A tiny model with the memory of some sequences.
struct Rig {
  explicit Rig(const std::string& name, size_t n_threads = 2) : Rig(spec_of(name), n_threads) {}
  Rig(const TinyModelSpec& spec, size_t n_threads, const PlanOptions& options = {})
      : bytes(make_tiny_model(spec)), pool(n_threads), backend(pool) {
    file = std::make_unique<GgufFile>(GgufFile::parse(bytes, "tiny").value());
    model = Model::load(*file, backend, 256, options).value();
    states =
        StatePool::create(state_slots(model->plan(), {.n_sequences = 4, .n_tokens = 4352})).value();
  }

  size_t vocab_size() const { return model->plan().vocab_size; }

  // Runs tokens [from, to) of the text in chunks; the logits of the last n_logits of each chunk.
  std::vector<float> run(SequenceState& sequence, std::span<const int32_t> text, size_t from,
                         size_t to, size_t chunk, size_t n_logits = SIZE_MAX) {
    std::vector<float> all;
    for (size_t pos = from; pos < to; pos += chunk) {
      const size_t n = std::min(chunk, to - pos);
      Step step{.state = &sequence,
                .tokens = text.subspan(pos, n),
                .first_pos = pos,
                .n_logits = std::min(n, n_logits)};
      std::vector<float> logits(step.n_logits * vocab_size());
      EXPECT_TRUE(model->run(step, {logits.data(), step.n_logits, vocab_size()}).has_value());
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  std::vector<std::byte> bytes;
  ThreadPool pool;
  CpuBackend backend;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Model> model;
  std::unique_ptr<StatePool> states;
};

class Line : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, Line,
                         testing::Values("retnet", "yoco", "yoco_window", "diff", "diff2", "lex",
                                         "phi4flash"),
                         [](const auto& test) { return test.param; });

TEST_P(Line, SameBitsInAnyChunkingAndForAnyNumberOfThreads) {
  const auto text = random_tokens(300, 7);
  Rig one(GetParam(), 1), three(GetParam(), 3);
  SequenceState alone = one.states->new_sequence();
  const auto expected = one.run(alone, text, 0, 300, 1);
  for (const size_t chunk : {2, 7, 16, 33, 256}) {
    SequenceState a = one.states->new_sequence(), b = three.states->new_sequence();
    EXPECT_EQ(one.run(a, text, 0, 300, chunk), expected) << chunk;
    EXPECT_EQ(three.run(b, text, 0, 300, chunk), expected) << chunk;
  }
}

TEST_P(Line, SameBitsBesideAnotherText) {
  const auto text = random_tokens(120, 8), other = random_tokens(90, 9);
  Rig rig(GetParam());
  SequenceState alone = rig.states->new_sequence();
  const auto expected = rig.run(alone, text, 0, 120, 120, 1);
  SequenceState first = rig.states->new_sequence(), second = rig.states->new_sequence();
  Step steps[] = {{.state = &second, .tokens = other, .first_pos = 0, .n_logits = 3},
                  {.state = &first, .tokens = text, .first_pos = 0, .n_logits = 1}};
  std::vector<float> logits(4 * rig.vocab_size());
  rig.model->run(steps, {logits.data(), 4, rig.vocab_size()});
  const auto from = logits.begin() + static_cast<std::ptrdiff_t>(3 * rig.vocab_size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), from));
}

// The upper layers of yoco do not run for rows without logits.
TEST_P(Line, LogitsAreTheSameWhicheverAreWanted) {
  const auto text = random_tokens(200, 10);
  Rig rig(GetParam());
  SequenceState a = rig.states->new_sequence(), b = rig.states->new_sequence();
  const auto all = rig.run(a, text, 0, 200, 200);
  rig.run(b, text, 0, 150, 64, 0);
  const auto last = rig.run(b, text, 150, 200, 50, 1);
  const auto from = all.end() - static_cast<std::ptrdiff_t>(rig.vocab_size());
  EXPECT_TRUE(std::equal(last.begin(), last.end(), from));
}

TEST_P(Line, SameBitsAfterAForkATakeBackAndARestore) {
  const auto text = random_tokens(260, 11), other = random_tokens(260, 12);
  Rig rig(GetParam());
  SequenceState whole = rig.states->new_sequence();
  rig.run(whole, text, 0, 100, 64, 0);
  whole.mark();
  SequenceState fork = whole.fork().value();
  const auto expected = rig.run(whole, text, 100, 260, 50);
  rig.run(fork, other, 100, 200, 37, 1);
  EXPECT_EQ(fork.rewind(100), 100U);
  EXPECT_EQ(rig.run(fork, text, 100, 260, 50), expected);

  const auto path = std::filesystem::path(testing::TempDir()) / ("line-" + GetParam() + ".state");
  SequenceState saved = rig.states->new_sequence();
  rig.run(saved, text, 0, 100, 100, 0);
  ASSERT_TRUE(saved.save(path, std::span(text).first(100), "id").has_value());
  SequenceState restored = rig.states->new_sequence();
  ASSERT_EQ(restored.restore(path, "id").value().n_tokens, 100U);
  EXPECT_EQ(rig.run(restored, text, 100, 260, 50), expected);
}

// Behind more than one segment of the attention kernel, where queries are scaled anew.
TEST(Lex, SameBitsInAnyChunkingOverSegments) {
  TinyModelSpec spec = spec_of("lex");
  spec.block_causal = false;
  spec.context_length = 8192;
  Rig rig(spec, 2);
  const auto text = random_tokens(4200, 16);
  SequenceState a = rig.states->new_sequence(), b = rig.states->new_sequence();
  const auto expected = rig.run(a, text, 0, 4200, 200, 3);
  rig.run(b, text, 0, 4100, 256, 0);
  const auto found = rig.run(b, text, 4100, 4200, 1, 1);
  const size_t n = 3 * rig.vocab_size();
  EXPECT_TRUE(std::equal(found.end() - static_cast<std::ptrdiff_t>(n), found.end(),
                         expected.end() - static_cast<std::ptrdiff_t>(n)));
  for (const float logit : found) ASSERT_TRUE(std::isfinite(logit));
}

// Up to the trained length it is plain causal attention, behind it another.
TEST(BlockCausal, ChangesNothingUpToTheTrainedLength) {
  TinyModelSpec spec;
  spec.context_length = 200;
  const std::vector<std::byte> bytes = make_tiny_model(spec);
  Rig plain(spec, 2), blockwise(spec, 2, {.block_causal = true});
  const auto text = random_tokens(260, 17);
  SequenceState a = plain.states->new_sequence(), b = blockwise.states->new_sequence();
  const auto expected = plain.run(a, text, 0, 260, 1), found = blockwise.run(b, text, 0, 260, 1);
  const auto border = static_cast<std::ptrdiff_t>(200 * plain.vocab_size());
  EXPECT_TRUE(std::equal(found.begin(), found.begin() + border, expected.begin()));
  EXPECT_FALSE(std::equal(found.begin() + border, found.end(), expected.begin() + border));
}

std::unique_ptr<Engine> load(const std::string& name) {
  EngineOptions options;
  options.model_path = write_tiny_model(spec_of(name));
  options.n_threads = 2;
  options.max_sessions = 4;
  options.ctx_size = 1024;
  options.prefill_chunk = 64;
  return Engine::load(options).value();
}

GenerateResult say(Session& session, AttentionMode mode, size_t n, std::vector<int32_t> prompt) {
  return session.generate(request_of(mode, n, std::move(prompt))).value();
}

TEST_P(Line, ExactIsDense) {
  const auto engine = load(GetParam());
  const auto prompt = random_tokens(500, 13);
  Session a = engine->new_session().value(), b = engine->new_session().value();
  const auto dense = say(a, AttentionMode::kDense, 300, prompt);
  if (GetParam() == "retnet") {
    const auto refused = b.generate(request_of(AttentionMode::kExact, 10, prompt));
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("expected dense"), std::string::npos);
    return;
  }
  if (GetParam() == "lex") {  // sees two blocks: there is nothing to choose
    EXPECT_EQ(say(b, AttentionMode::kExact, 300, prompt).tokens, dense.tokens);
    return;
  }
  const auto exact = say(b, AttentionMode::kExact, 300, prompt);
  EXPECT_EQ(exact.tokens, dense.tokens);
  EXPECT_GT(exact.attention.accepted, 0U);
  EXPECT_LT(exact.attention.accepted, exact.attention.drafted);
  Session c = engine->new_session().value();
  const auto sparse = say(c, AttentionMode::kSparse, 300, prompt);
  EXPECT_NE(sparse.tokens, dense.tokens);
  EXPECT_LT(sparse.attention.blocks_read, sparse.attention.blocks_total);
}

// A depth to measure at, far beyond any window.
TEST_P(Line, CanBeFilledAtRandom) {
  const auto engine = load(GetParam());
  Session session = engine->new_session().value();
  ASSERT_TRUE(session.fill_random(1000, 1));
  EXPECT_EQ(say(session, AttentionMode::kDense, 4, {}).tokens.size(), 4U);
}

// A turn that is taken back is not read again, though a state cannot be cut.
TEST_P(Line, ATurnCanBeTakenBack) {
  const auto engine = load(GetParam());
  Session session = engine->new_session().value();
  const auto first = say(session, AttentionMode::kDense, 10, random_tokens(300, 18));
  const size_t n_tokens = session.tokens().size();
  say(session, AttentionMode::kDense, 5, random_tokens(50, 19));
  session.truncate(n_tokens);
  auto request = request_of(AttentionMode::kDense, 5, random_tokens(50, 20));
  request.profile = true;
  const auto found = session.generate(request).value();
  EXPECT_LE(found.profile.prompt.n_tokens, 51U);

  auto text = random_tokens(300, 18), last = random_tokens(50, 20);
  text.insert(text.end(), first.tokens.begin(), first.tokens.end());
  text.insert(text.end(), last.begin(), last.end());
  Session read = engine->new_session().value();
  EXPECT_EQ(found.tokens, say(read, AttentionMode::kDense, 5, text).tokens);
}

// After 200 sparse tokens behind a prompt of 500: how many are clean, and whether dense decoding
// goes on as it does where a prefill read those 200.
void expect_clean(const std::string& name, size_t n_clean) {
  const auto engine = load(name);
  auto text = random_tokens(500, 14);
  Session sparse = engine->new_session().value();
  const auto said = say(sparse, AttentionMode::kSparse, 200, text);
  EXPECT_GT(said.attention.sparse_steps, 0U);
  EXPECT_EQ(sparse.n_clean(), n_clean) << name;
  text.insert(text.end(), said.tokens.begin(), said.tokens.end());
  Session read = engine->new_session().value();
  EXPECT_EQ(say(sparse, AttentionMode::kDense, 60, {}).tokens,
            say(read, AttentionMode::kDense, 60, text).tokens);
}

TEST(Yoco, SparseStepsLeaveWhatDenseOnesWould) {
  EXPECT_TRUE(sparse_steps_are_clean(plan_random_model(spec_of("yoco")).value().plan));
  EXPECT_FALSE(sparse_steps_are_clean(plan_random_model(spec_of("diff2")).value().plan));
  expect_clean("yoco", 699);  // the last token is not cached yet
  expect_clean("yoco_window", 699);
  expect_clean("phi4flash", 699);
  expect_clean("diff2", 500);
}

TEST(Yoco, ResaHasNothingToRectify) {
  const auto engine = load("yoco");
  Session a = engine->new_session().value(), b = engine->new_session().value();
  const auto resa = say(a, AttentionMode::kResa, 200, random_tokens(500, 15));
  EXPECT_EQ(resa.attention.rectifications, 0U);
  EXPECT_GT(resa.attention.sparse_steps, 0U);
  EXPECT_EQ(resa.tokens, say(b, AttentionMode::kSparse, 200, random_tokens(500, 15)).tokens);
}

// Two layers read the shared keys, and one of them chooses.
TEST(Yoco, ASparseStepChoosesOnce) {
  Rig rig("yoco");
  size_t n_readers = 0, n_choosers = 0;
  for (const LayerSpec& layer : rig.model->plan().layers) {
    const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
    if (attention == nullptr) continue;
    ++n_readers;
    n_choosers += attention->chooses ? 1 : 0;
    EXPECT_EQ(attention->kv.layer, 0U);
  }
  EXPECT_EQ(n_readers, 2U);
  EXPECT_EQ(n_choosers, 1U);
}

}  // namespace
}  // namespace longhaul
