// The promise that everything stands on: the logits of a position have the same bits alone, in any
// chunking, in a batch, for any number of threads, from a forked or restored prefix; and sparse
// attention over all blocks is dense attention.
#include <gtest/gtest.h>

#include <cstring>

#include "attention/gate/summary.h"
#include "kernels/kv_tile.h"
#include "model/model.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

struct Case {
  std::string architecture;
  TensorType type;
  KvType k_type;
  KvType v_type;
};

// A model with its own pool, cache, random gates and file bytes.
struct Rig {
  Rig(const Case& c, size_t n_threads) : bytes(make_tiny_model(spec_of(c))), pool(n_threads) {
    auto parsed = GgufFile::parse(bytes, "tiny");
    EXPECT_TRUE(parsed.has_value());
    file = std::make_unique<GgufFile>(std::move(*parsed));
    auto loaded = Model::load(*file, pool, 256);
    EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().message);
    model = std::move(*loaded);
    states = make_tiny_states(*model, *file,
                              {.k_type = c.k_type, .v_type = c.v_type, .n_tokens = 16384});
  }

  static TinyModelSpec spec_of(const Case& c) {
    TinyModelSpec spec = tiny_spec(c.architecture);
    spec.type = c.type;
    return spec;
  }

  size_t vocab_size() const { return model->plan().vocab_size; }

  std::vector<std::byte> bytes;
  ThreadPool pool;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Model> model;
  TinyStates states;
};

// Logits of every token, computed in chunks of the given size.
std::vector<float> all_logits(Rig& rig, SequenceState& sequence, std::span<const int32_t> tokens,
                              size_t chunk_size, const Selector* selector = nullptr,
                              const AttentionOptions* options = nullptr) {
  std::vector<float> logits(tokens.size() * rig.vocab_size());
  for (size_t pos = 0; pos < tokens.size();) {
    const size_t n = std::min(chunk_size, tokens.size() - pos);
    Step step;
    step.state = &sequence;
    step.tokens = tokens.subspan(pos, n);
    step.first_pos = pos;
    step.n_logits = n;
    step.selector = selector;
    step.attention = options;
    MatrixView<float> out(logits.data() + pos * rig.vocab_size(), n, rig.vocab_size());
    EXPECT_TRUE(rig.model->run(step, out).has_value());
    pos += n;
  }
  return logits;
}

// The gate keys of all complete blocks, layers and heads.
std::vector<float> all_gate_keys(const SequenceState& sequence) {
  std::vector<float> all;
  const KvSequence& kv = sequence.paged(0);
  for (size_t layer = 0; layer < kv.config().n_layers; ++layer) {
    for (size_t head = 0; head < kv.config().n_kv_heads; ++head) {
      const HalfMatrixView keys = gate_keys(kv.summary(layer, head, kv.n_summaries() - 1));
      std::vector<float> row(keys.n_cols);
      for (size_t i = 0; i < keys.n_rows; ++i) {
        half_tile_read_row(keys.base + keys.pages[i / kHalfTileRows] * keys.tile_stride,
                           i % kHalfTileRows, row.data(), row.size());
        all.insert(all.end(), row.begin(), row.end());
      }
    }
  }
  EXPECT_EQ(all.empty(), sequence.n_tokens() < sequence.block_size());
  return all;
}

// The first row that differs in its bits, or -1.
std::ptrdiff_t first_difference(const std::vector<float>& a, const std::vector<float>& b,
                                size_t n_cols) {
  EXPECT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0)
      return static_cast<std::ptrdiff_t>(i / n_cols);
  }
  return -1;
}

// The key or value of one token as attention reads it.
void read_token(const KvView& view, size_t pos, bool key, float* out) {
  const size_t tile = pos / kTileTokens;
  if (key) {
    read_k(view.k_type, view.k_tile(tile), pos % kTileTokens, out, view.key_dim);
  } else {
    read_v(view.v_type, view.v_tile(tile), pos % kTileTokens, out, view.value_dim);
  }
}

class SameBits : public testing::TestWithParam<Case> {};

TEST_P(SameBits, AnyChunking) {
  Rig rig(GetParam(), 1);
  const auto tokens = random_tokens(300, 7);
  auto alone = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, alone, tokens, 1);
  const auto expected_gate_keys = all_gate_keys(alone);
  EXPECT_EQ(expected_gate_keys.size(), 2 * 2 * (300 / 16) * 32U);
  for (const size_t chunk_size : {2, 7, 16, 33, 64, 256}) {
    auto sequence = rig.states.pool->new_sequence();
    const auto found = all_logits(rig, sequence, tokens, chunk_size);
    EXPECT_EQ(first_difference(expected, found, rig.vocab_size()), -1)
        << "chunks of " << chunk_size;
    EXPECT_EQ(all_gate_keys(sequence), expected_gate_keys) << "chunks of " << chunk_size;
  }
}

TEST_P(SameBits, AnyNumberOfThreads) {
  const auto tokens = random_tokens(120, 8);
  Rig one(GetParam(), 1);
  auto sequence = one.states.pool->new_sequence();
  const auto expected = all_logits(one, sequence, tokens, 50);
  for (const size_t n_threads : {2, 3, 5}) {
    Rig many(GetParam(), n_threads);
    for (const size_t chunk_size : {1, 50}) {
      auto other = many.states.pool->new_sequence();
      const auto found = all_logits(many, other, tokens, chunk_size);
      EXPECT_EQ(first_difference(expected, found, one.vocab_size()), -1) << n_threads << " threads";
    }
  }
}

TEST_P(SameBits, InABatchOfSequences) {
  Rig rig(GetParam(), 2);
  const size_t lengths[] = {5, 40, 17};
  std::vector<std::vector<int32_t>> texts;
  std::vector<std::vector<float>> expected;
  for (size_t i = 0; i < 3; ++i) {
    texts.push_back(random_tokens(lengths[i], 100 + i));
    auto sequence = rig.states.pool->new_sequence();
    expected.push_back(all_logits(rig, sequence, texts[i], 256));
  }
  std::vector<SequenceState> sequences;
  std::vector<Step> steps(3);
  size_t n_rows = 0;
  for (size_t i = 0; i < 3; ++i) sequences.push_back(rig.states.pool->new_sequence());
  for (size_t i = 0; i < 3; ++i) {
    steps[i].state = &sequences[i];
    steps[i].tokens = texts[i];
    steps[i].n_logits = texts[i].size();
    n_rows += texts[i].size();
  }
  std::vector<float> logits(n_rows * rig.vocab_size());
  rig.model->run(steps, MatrixView<float>(logits.data(), n_rows, rig.vocab_size()));
  for (const Step& step : steps) ASSERT_TRUE(step.status.has_value());
  auto from = logits.begin();
  for (size_t i = 0; i < 3; ++i) {
    const auto to = from + static_cast<std::ptrdiff_t>(expected[i].size());
    EXPECT_EQ(first_difference(expected[i], std::vector<float>(from, to), rig.vocab_size()), -1)
        << "sequence " << i;
    from = to;
  }
}

// The last layer works on the rows with logits alone.
TEST_P(SameBits, WhicheverLogitsAreWanted) {
  Rig rig(GetParam(), 2);
  const size_t n_cols = rig.vocab_size();
  const auto tokens = random_tokens(60, 13);
  const std::span<const int32_t> all(tokens);
  auto straight = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, straight, tokens, 256);
  // Three texts, whose passes want other numbers of logits each time.
  const size_t wanted[][3] = {{0, 1, 5}, {20, 0, 1}, {3, 20, 0}};
  std::vector<SequenceState> sequences;
  for (size_t i = 0; i < 3; ++i) sequences.push_back(rig.states.pool->new_sequence());
  for (size_t pass = 0; pass < 3; ++pass) {
    std::vector<Step> steps(3);
    size_t n_rows = 0;
    for (size_t i = 0; i < 3; ++i) {
      steps[i].state = &sequences[i];
      steps[i].tokens = all.subspan(20 * pass, 20);
      steps[i].first_pos = 20 * pass;
      steps[i].n_logits = wanted[pass][i];
      n_rows += wanted[pass][i];
    }
    std::vector<float> logits(n_rows * n_cols);
    rig.model->run(steps, MatrixView<float>(logits.data(), n_rows, n_cols));
    for (const Step& step : steps) {
      ASSERT_TRUE(step.status.has_value());
      const size_t first = 20 * (pass + 1) - step.n_logits;
      EXPECT_EQ(
          std::memcmp(logits.data() + step.first_logits * n_cols, expected.data() + first * n_cols,
                      step.n_logits * n_cols * sizeof(float)),
          0)
          << "pass " << pass << ", " << step.n_logits << " logits";
    }
  }
}

// A partial rectification reads what any of its rows asks for, also where few logits are wanted.
TEST_P(SameBits, PartialRectificationWithSomeLogits) {
  Rig rig(GetParam(), 2);
  const size_t n_cols = rig.vocab_size();
  const auto tokens = random_tokens(300, 14);
  const std::span<const int32_t> all(tokens);
  AttentionOptions few;
  few.sparse_ratio = 0.05;
  few.min_blocks = 2;
  std::vector<float> found[2];
  for (const size_t n_logits : {20, 2}) {
    auto sequence = rig.states.pool->new_sequence();
    (void)all_logits(rig, sequence, all.first(280), 256);
    std::vector<float> logits(n_logits * n_cols);
    Step step{.state = &sequence,
              .tokens = all.subspan(280),
              .first_pos = 280,
              .n_logits = n_logits,
              .selector = find_selector("minmax"),
              .attention = &few};
    const MatrixView<float> out(logits.data(), n_logits, n_cols);
    ASSERT_TRUE(rig.model->run(step, out).has_value());
    found[n_logits == 2] =
        std::vector<float>(logits.end() - static_cast<std::ptrdiff_t>(2 * n_cols), logits.end());
  }
  EXPECT_EQ(first_difference(found[0], found[1], n_cols), -1);
}

// Windows hold what a query sees, and no more once the rest is given back.
TEST_P(SameBits, WithoutThePagesBehindAWindow) {
  Rig rig(GetParam(), 2);
  if (rig.model->plan().slots.size() == 1) GTEST_SKIP() << "a model without windows";
  const auto tokens = random_tokens(900, 15);
  const std::span<const int32_t> all(tokens);
  auto straight = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, straight, tokens, 256);
  auto sequence = rig.states.pool->new_sequence();
  std::vector<float> found;
  for (size_t pos = 0; pos < 900; pos += 60) {
    std::vector<float> logits(60 * rig.vocab_size());
    Step step{&sequence, all.subspan(pos, 60), pos, 60, nullptr, nullptr};
    const MatrixView<float> out(logits.data(), 60, rig.vocab_size());
    ASSERT_TRUE(rig.model->run(step, out).has_value());
    sequence.release(pos + 60);
    found.insert(found.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(first_difference(expected, found, rig.vocab_size()), -1);
}

TEST_P(SameBits, SparseWithEveryBlockIsDense) {
#if defined(__SANITIZE_THREAD__)
  constexpr size_t kTokens = 100;  // threads meet as often in fewer steps
#else
  constexpr size_t kTokens = 300;
#endif
  Rig rig(GetParam(), 2);
  const auto tokens = random_tokens(kTokens, 9);
  auto dense = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, dense, tokens, 1);
  AttentionOptions all;
  all.sparse_ratio = 1.0;
  for (const char* name : {"gate", "minmax", "outlier", "window", "oracle"}) {
    auto sparse = rig.states.pool->new_sequence();
    const auto found = all_logits(rig, sparse, tokens, 1, find_selector(name), &all);
    EXPECT_EQ(first_difference(expected, found, rig.vocab_size()), -1) << name;
  }
  // And with few blocks it is not: otherwise the lines above prove nothing.
  AttentionOptions few;
  few.sparse_ratio = 0.05;
  few.min_blocks = 2;
  auto sparse = rig.states.pool->new_sequence();
  const auto found = all_logits(rig, sparse, tokens, 1, find_selector("minmax"), &few);
  EXPECT_NE(first_difference(expected, found, rig.vocab_size()), -1);
}

// Beyond 2,048 tokens a list of every tile would merge its segments in another order.
TEST_P(SameBits, SparseWithEveryBlockIsDenseInALongText) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "minutes, and no thread meets another that it does not meet above";
#endif
  Rig rig(GetParam(), 2);
  const auto tokens = random_tokens(2130, 13);
  const std::span<const int32_t> all(tokens);
  auto sequence = rig.states.pool->new_sequence();
  for (size_t pos = 0; pos + 1 < all.size(); pos += 256) {
    const size_t n = std::min<size_t>(256, all.size() - 1 - pos);
    Step prompt{&sequence, all.subspan(pos, n), pos, 0, nullptr, nullptr};
    ASSERT_TRUE(rig.model->run(prompt, {}).has_value());
  }
  AttentionOptions every;
  every.sparse_ratio = 1.0;
  std::vector<float> expected(rig.vocab_size());
  std::vector<float> found(rig.vocab_size());
  const auto step = [&](const char* selector, std::vector<float>& logits) {
    sequence.rewind(all.size() - 1);
    Step last{.state = &sequence,
              .tokens = all.last(1),
              .first_pos = all.size() - 1,
              .n_logits = 1,
              .selector = find_selector(selector),
              .attention = &every};
    MatrixView<float> out(logits.data(), 1, logits.size());
    ASSERT_TRUE(rig.model->run(last, out).has_value());
  };
  step("", expected);
  for (const char* name : {"gate", "minmax", "outlier", "window", "oracle"}) {
    step(name, found);
    EXPECT_EQ(first_difference(expected, found, rig.vocab_size()), -1) << name;
  }
}

// ReSA's claim: after sparse steps, one dense pass over their tokens leaves the cache of a dense
// prefill, to the bit.
TEST_P(SameBits, RectificationRestoresTheDenseCache) {
  Rig rig(GetParam(), 2);
  const auto tokens = random_tokens(200, 10);
  const std::span<const int32_t> all(tokens);
  auto dense = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, dense, tokens, 256);

  auto repaired = rig.states.pool->new_sequence();
  (void)all_logits(rig, repaired, all.first(160), 256);
  AttentionOptions few;
  few.sparse_ratio = 0.05;
  few.min_blocks = 2;
  for (size_t pos = 160; pos < 192; ++pos) {
    Step step{.state = &repaired,
              .tokens = all.subspan(pos, 1),
              .first_pos = pos,
              .n_logits = 0,
              .selector = find_selector("minmax"),
              .attention = &few};
    ASSERT_TRUE(rig.model->run(step, {}).has_value());
  }
  const auto stale_gate_keys = all_gate_keys(repaired);
  Step rectify{&repaired, all.subspan(160, 32), 160, 0, nullptr, nullptr};
  ASSERT_TRUE(rig.model->run(rectify, {}).has_value());
  std::vector<float> logits(8 * rig.vocab_size());
  Step rest{&repaired, all.subspan(192, 8), 192, 8, nullptr, nullptr};
  ASSERT_TRUE(
      rig.model->run(rest, MatrixView<float>(logits.data(), 8, rig.vocab_size())).has_value());
  const std::vector<float> tail(expected.end() - static_cast<std::ptrdiff_t>(logits.size()),
                                expected.end());
  EXPECT_EQ(first_difference(tail, logits, rig.vocab_size()), -1);

  EXPECT_EQ(all_gate_keys(repaired), all_gate_keys(dense));
  repaired.rewind(192);
  EXPECT_NE(all_gate_keys(repaired), stale_gate_keys);
  ASSERT_TRUE(
      rig.model->run(rest, MatrixView<float>(logits.data(), 8, rig.vocab_size())).has_value());
  // The stored keys and values too, byte for byte, and the descriptors.
  for (size_t layer = 0; layer < dense.paged(0).config().n_layers; ++layer) {
    std::vector<float> a(dense.paged(0).config().key_dim);
    std::vector<float> b(a.size());
    for (size_t head = 0; head < dense.paged(0).config().n_kv_heads; ++head) {
      for (size_t pos = 0; pos < 200; ++pos) {
        for (const bool keys : {true, false}) {
          read_token(dense.paged(0).view(layer, head), pos, keys, a.data());
          read_token(repaired.paged(0).view(layer, head), pos, keys, b.data());
          EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0)
              << layer << ' ' << head << ' ' << pos;
        }
      }
    }
  }
}

TEST_P(SameBits, ForkedAndTruncatedPrefix) {
  Rig rig(GetParam(), 2);
  const auto tokens = random_tokens(150, 11);
  const std::span<const int32_t> all(tokens);
  auto straight = rig.states.pool->new_sequence();
  const auto expected = all_logits(rig, straight, tokens, 256);

  auto other_text = random_tokens(150, 12);
  std::copy(tokens.begin(), tokens.begin() + 71, other_text.begin());
  auto first = rig.states.pool->new_sequence();
  (void)all_logits(rig, first, other_text, 256);
  auto forked = first.fork();
  ASSERT_TRUE(forked.has_value());
  forked->rewind(71);
  std::vector<float> logits(79 * rig.vocab_size());
  Step rest{&*forked, all.subspan(71), 71, 79, nullptr, nullptr};
  ASSERT_TRUE(
      rig.model->run(rest, MatrixView<float>(logits.data(), 79, rig.vocab_size())).has_value());
  const std::vector<float> tail(expected.end() - static_cast<std::ptrdiff_t>(logits.size()),
                                expected.end());
  EXPECT_EQ(first_difference(tail, logits, rig.vocab_size()), -1);
}

constexpr KvType kF16 = KvType::kF16;
constexpr KvType kQ8 = KvType::kQ8_0;
INSTANTIATE_TEST_SUITE_P(Models, SameBits,
                         testing::Values(Case{"llama", TensorType::kF32, kF16, kF16},
                                         Case{"qwen2", TensorType::kQ8_0, kQ8, kQ8},
                                         Case{"qwen3", TensorType::kQ8_0, kF16, kQ8},
                                         Case{"qwen3", TensorType::kQ4_0, kQ8, kF16},
                                         Case{"llama", TensorType::kBF16, kQ8, kQ8},
                                         Case{"gemma3", TensorType::kF32, kF16, kF16},
                                         Case{"gemma3", TensorType::kQ8_0, kQ8, kQ8},
                                         Case{"qwen3moe", TensorType::kQ8_0, kF16, kF16},
                                         Case{"olmoe", TensorType::kQ8_0, kQ8, kQ8}),
                         [](const auto& test) {
                           return fmt::format("{}_{}_{}", test.param.architecture,
                                              tensor_type_info(test.param.type).name, test.index);
                         });

}  // namespace
}  // namespace longhaul
