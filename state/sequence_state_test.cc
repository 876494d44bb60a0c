// States of several slots: a toy mixer runs over them, and the file they are saved to.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <numeric>

#include "io/test_dir.h"
#include "state/cache_model.h"
#include "state/state_file.h"
#include "state/tiny_state.h"

namespace longhaul {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Sets the bytes at `at` and makes the checksum of the section around them right again.
std::string forge(std::string file, size_t at, std::string_view bytes) {
  file.replace(at, bytes.size(), bytes);
  for (size_t section = kStateFrameBytes; section < file.size();) {
    uint32_t tag;
    uint64_t n_bytes;
    std::memcpy(&tag, &file[section], sizeof(tag));
    std::memcpy(&n_bytes, &file[section + 4], sizeof(n_bytes));
    if (n_bytes > file.size() - section - kSectionFrameBytes) break;
    const uint64_t checksum = section_checksum(tag, bytes_of(file).subspan(section + 12, n_bytes));
    std::memcpy(&file[section + 12 + n_bytes], &checksum, sizeof(checksum));
    section += kSectionFrameBytes + n_bytes;
  }
  return file;
}

// A text in a state, and beside it what the state should hold: keys and values in the plain model,
// and of the recurrent slot what the toy mixer has after all tokens, state = state / 2 + token.
struct Text {
  explicit Text(StatePool& pool, std::mt19937& random) : state(pool.new_sequence()), rng(&random) {
    for (const SlotConfig& slot : pool.slots()) {
      if (const auto* config = std::get_if<CacheConfig>(&slot)) models.emplace_back(*config);
    }
  }
  Text(SequenceState other, const Text& from)
      : state(std::move(other)), models(from.models), tokens(from.tokens), rng(from.rng) {}

  // Runs tokens [first, first + count): of the text as far as it goes, then fresh ones. False if
  // the cache is full.
  bool run(size_t first, size_t count) {
    if (!state.reserve(first, count)) return false;
    while (tokens.size() < first + count) tokens.push_back(static_cast<int32_t>((*rng)() % 1000));
    for (size_t slot = 0; slot < models.size(); ++slot) {
      models[slot].truncate(first);
      models[slot].write(state.paged(slot), first, count, *rng);
    }
    RecurrentState& recurrent = state.recurrent(2);
    for (size_t pos = first; pos < first + count; ++pos) mix(recurrent, tokens[pos]);
    recurrent.advance(first + count);
    return true;
  }
  bool append(size_t count) { return run(state.n_tokens(), count); }

  // Goes back to n tokens as the engine would: what rewind() took too much is run again.
  bool cut(size_t n) {
    const size_t reached = state.rewind(n);
    for (CacheModel& model : models) model.truncate(reached);
    if (!run(reached, n - reached)) return false;
    tokens.resize(n);
    return true;
  }

  bool is_right() const {
    std::vector<float> expected(16, 0.0F);
    for (const int32_t token : tokens) mix(expected, token);
    const auto found = state.recurrent(2).floats();
    return state.n_tokens() == tokens.size() && models[0].matches(state.paged(0)) &&
           models[1].matches(state.paged(1)) &&
           std::equal(expected.begin(), expected.end(), found.begin(), found.end());
  }

  template <class Floats>
  static void mix(Floats&& all, int32_t token) {
    for (float& x : all) x = x / 2 + static_cast<float>(token);
  }
  static void mix(RecurrentState& recurrent, int32_t token) {
    for (size_t layer = 0; layer < recurrent.config().n_layers; ++layer)
      mix(recurrent.layer(layer), token);
  }

  SequenceState state;
  std::vector<CacheModel> models;
  std::vector<int32_t> tokens;
  std::mt19937* rng;
};

class States : public testing::Test {
 protected:
  Text text() { return Text(*pool_, rng_); }
  Text text(size_t n) {
    Text made = text();
    EXPECT_TRUE(made.append(n));
    return made;
  }

  std::string saved(const Text& text) {
    const std::string path = dir_.file("saved");
    EXPECT_TRUE(text.state.save(path, text.tokens, "tiny"));
    return read_text(path);
  }
  // The file of a text of n tokens.
  std::string tiny_file(size_t n) { return saved(text(n)); }

  std::string refusal(SequenceState& state, const std::string& file) {
    const auto restored = state.restore_from(bytes_of(file), "x.state", "tiny");
    return restored ? "accepted" : restored.error().message;
  }

  TestDir dir_;
  std::mt19937 rng_{7};
  std::unique_ptr<StatePool> pool_ = StatePool::create(tiny_slots()).value();
};

// Appends, cuts, marks, forks and restores in any order, in a pool too small for them all.
TEST_F(States, AnyOperationsLeaveWhatATextFromScratchLeaves) {
  std::vector<Text> texts;
  size_t n_refused = 0, n_rerun = 0;
  for (size_t step = 0; step < 600; ++step) {
    if (texts.empty()) texts.push_back(text());
    Text& t = texts[rng_() % texts.size()];
    const size_t n = t.state.n_tokens();
    const uint32_t op = rng_() % 16;
    if (op < 8) {
      const size_t count = 1 + rng_() % 30;
      if (!t.append(count)) {
        ++n_refused;
        ASSERT_TRUE(t.is_right()) << "step " << step;
        t = text();
      }
    } else if (op < 11) {
      const size_t to = n - rng_() % std::min<size_t>(n + 1, 12);
      n_rerun += t.state.reachable(to) < to;
      if (!t.cut(to)) t = text();
    } else if (op < 13) {
      t.state.mark();
    } else if (op == 13) {
      t.state.release(n - rng_() % std::min<size_t>(n + 1, 6));
    } else if (op == 14 && texts.size() < 4) {
      if (auto fork = t.state.fork()) texts.emplace_back(std::move(*fork), t);
    } else if (op == 15) {
      const std::string file = saved(t);
      const auto tokens = t.tokens;
      const std::vector<CacheModel> models = t.models;
      t = text();
      ASSERT_EQ(refusal(t.state, file), "accepted");
      t.tokens = tokens;
      t.models = models;
    }
    for (const Text& each : texts) ASSERT_TRUE(each.is_right()) << "step " << step << " op " << op;
  }
  EXPECT_GT(n_refused, 0U);
  EXPECT_GT(n_rerun, 0U);  // a cut that a mark or the start had to serve was seen
  texts.clear();
  EXPECT_EQ(pool_->usage().pages_free, pool_->usage().pages);
}

TEST_F(States, RewindReachesTheLastMark) {
  Text t = text(10);
  t.state.mark();
  ASSERT_TRUE(t.append(5));
  EXPECT_EQ(t.state.reachable(15), 15U);  // the present length needs no mark
  EXPECT_EQ(t.state.reachable(14), 10U);
  EXPECT_EQ(t.state.reachable(9), 0U);
  EXPECT_EQ(t.state.rewind(12), 10U);
  EXPECT_EQ(t.state.n_tokens(), 10U);
  EXPECT_EQ(t.state.recurrent(2).n_tokens(), 10U);
}

TEST_F(States, TheOldestSnapshotGoesFirst) {
  Text t = text();
  for (size_t i = 0; i < 6; ++i) {  // 4 are kept
    ASSERT_TRUE(t.append(2));
    t.state.mark();
  }
  EXPECT_EQ(t.state.reachable(5), 0U);
  EXPECT_EQ(t.state.reachable(7), 6U);
  EXPECT_EQ(t.state.reachable(11), 10U);
}

// One slot that is full takes nothing from the others.
TEST_F(States, ReserveIsAllOrNothing) {
  std::vector<SlotConfig> slots = tiny_slots();
  std::get<CacheConfig>(slots[1]).max_tokens = 64;  // one page
  auto pool = StatePool::create(slots).value();
  Text t(*pool, rng_);
  ASSERT_TRUE(t.append(60));
  const size_t pages_free = pool->usage().pages_free;
  const Status status = t.state.reserve(60, 10);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(pool->usage().pages_free, pages_free);
  EXPECT_TRUE(t.is_right());
}

TEST_F(States, RestoresEveryBit) {
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    std::vector<SlotConfig> slots = tiny_slots();
    for (const size_t i : {0, 1}) std::get<CacheConfig>(slots[i]).k_type = type;
    std::get<CacheConfig>(slots[0]).v_type = KvType::kQ8_0;
    for (const size_t i : {0, 1}) std::get<CacheConfig>(slots[i]).max_tokens = 512;
    for (const size_t n : {0, 1, 3, 4, 15, 16, 17, 63, 64, 65, 200}) {
      auto pool = StatePool::create(slots).value();
      Text t(*pool, rng_);
      ASSERT_TRUE(t.append(n));
      const std::string path = dir_.file("state");
      ASSERT_TRUE(t.state.save(path, t.tokens, "model \"A\""));

      auto other_pool = StatePool::create(slots).value();
      Text other(other_pool->new_sequence(), t);
      ASSERT_TRUE(other.state.reserve(0, 40));  // replaced by the restored one
      const auto state = other.state.restore(path, "model \"A\"");
      ASSERT_TRUE(state) << state.error().message;
      EXPECT_EQ(state->n_tokens, n);
      EXPECT_EQ(state->tokens, t.tokens);
      EXPECT_TRUE(other.is_right());
      other.state.mark();
      ASSERT_TRUE(other.append(10));
      EXPECT_TRUE(other.is_right());
      ASSERT_TRUE(other.cut(n));
      EXPECT_EQ(saved(other), saved(t));  // no trace of what was forgotten
    }
  }
}

// Else the fuzzer would start from files that are refused at once.
TEST_F(States, TheSeedsOfTheFuzzerRestore) {
  for (const size_t n : {0, 1, 21, 70}) {
    SequenceState state = pool_->new_sequence();
    const std::string path = LONGHAUL_SOURCE_DIR "/fuzz/corpus/state/tokens-" + std::to_string(n);
    EXPECT_EQ(refusal(state, read_text(path)), "accepted")
        << path << ": write_state_corpus writes it anew";
    EXPECT_EQ(state.n_tokens(), n);
  }
}

// Summaries without a tag are no part of a state: it serves with them and without.
TEST_F(States, UnsavedSummariesAreComputedAnew) {
  CacheConfig config = std::get<CacheConfig>(tiny_slots()[0]);
  auto plain_pool = StatePool::create({config}).value();
  SequenceState plain = plain_pool->new_sequence();
  CacheModel model(config);
  ASSERT_TRUE(plain.reserve(0, 150));
  model.write(plain.paged(0), 0, 150, rng_);
  const std::vector<int32_t> tokens(150, 3);
  const std::string path = dir_.file("plain");
  ASSERT_TRUE(plain.save(path, tokens, "tiny"));

  const LastKeySummary last_keys(32);
  config.summaries.push_back(last_keys.spec());
  auto pool = StatePool::create({config}).value();
  SequenceState state = pool->new_sequence();
  ASSERT_EQ(refusal(state, read_text(path)), "accepted");
  EXPECT_EQ(state.paged(0).n_summaries(), 2U);
  EXPECT_TRUE(model.with(config).matches(state.paged(0)));
  const std::string again = dir_.file("again");
  ASSERT_TRUE(state.save(again, tokens, "tiny"));
  EXPECT_EQ(read_text(again), read_text(path));
}

TEST_F(States, AnyDamagedByteIsAnError) {
  const std::string file = tiny_file(21);
  Text t = text();
  ASSERT_EQ(refusal(t.state, file), "accepted");
  t = text(5);
  for (size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    ASSERT_NE(refusal(t.state, damaged), "accepted") << "byte " << at;
    ASSERT_NE(refusal(t.state, file.substr(0, at)), "accepted") << "cut to " << at;
  }
  EXPECT_EQ(refusal(t.state, file + "x"), "x.state: 1 bytes too many after the last section");
  EXPECT_TRUE(t.is_right());  // still what it was
}

TEST_F(States, LiesWithRightChecksumsAreNamed) {
  const std::string file = tiny_file(21);
  SequenceState state = pool_->new_sequence();
  // n_tokens, the number of slots, then 9 fields of each.
  const auto with_field = [&](size_t field, uint64_t value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, 8);
    return refusal(state, forge(file, kStateFrameBytes + 12 + 8 * field, bytes));
  };
  EXPECT_EQ(with_field(1, 2), "x.state: saved with 2 slots, but this model has 3");
  EXPECT_EQ(with_field(2, 1), "x.state: slot 0 was saved with kind 1, but this cache has 0");
  EXPECT_EQ(with_field(3, 28), "x.state: slot 0 was saved with n_layers 28, but this cache has 1");
  EXPECT_EQ(with_field(7, 1), "x.state: slot 0 was saved with k_type q8_0, but this cache has f16");
  EXPECT_EQ(with_field(18, 16),
            "x.state: slot 1 was saved with block_size 16, but this cache has 4");
  EXPECT_EQ(with_field(19, 0), "x.state: slot 1 was saved with window 0, but this cache has 20");
  EXPECT_EQ(with_field(22, 9), "x.state: slot 2 was saved with n_floats 9, but this cache has 8");
  EXPECT_EQ(with_field(0, 257), "x.state: holds 257 tokens, but this cache has room for 256");
  EXPECT_EQ(with_field(0, ~uint64_t{0}),
            "x.state: holds 18446744073709551615 tokens, but this cache has room for 256");
  EXPECT_EQ(with_field(0, 20), "x.state: section tokens: expected 80 bytes, found 84");
  EXPECT_EQ(refusal(state, forge(file, 0, "GGUF")),
            "x.state: not a Longhaul state file: it does not begin with LHSTATE1");
  EXPECT_EQ(refusal(state, forge(file, 8, "\x05")),  // with bounds
            "x.state: expected state file version 6, found 5");
  const auto other_model = state.restore_from(bytes_of(file), "x.state", "other");
  ASSERT_FALSE(other_model);
  EXPECT_EQ(other_model.error().message,
            "x.state: saved with the model \"tiny\", but this is \"other\"");
  EXPECT_EQ(state.n_tokens(), 0U);
}

TEST_F(States, RestoreNeedsFreePages) {
  const std::string file = tiny_file(130);  // 3 pages of 64 tokens; the cache has 4
  Text t = text(100);
  EXPECT_EQ(refusal(t.state, file),
            "x.state: the KV cache is full: tokens 0 to 130 need 3 more pages of 64 tokens, 2 of 4 "
            "are free");
  EXPECT_TRUE(t.is_right());
  t.state.rewind(0);
  EXPECT_EQ(refusal(t.state, file), "accepted");
}

TEST_F(States, RefusesToSaveWhatCannotBeRestored) {
  Text t = text(20);
  const auto wrong_ids = t.state.save(dir_.file("s"), std::span(t.tokens).first(19), "tiny");
  ASSERT_FALSE(wrong_ids);
  EXPECT_NE(wrong_ids.error().message.find("19 token ids for a sequence of 20 tokens"),
            std::string::npos);
  ASSERT_TRUE(t.state.reserve(20, 3));
  t.tokens.resize(23);
  const auto half_done = t.state.save(dir_.file("s"), t.tokens, "tiny");
  ASSERT_FALSE(half_done);
  EXPECT_NE(half_done.error().message.find("a layer holds only 20 of 23 tokens"),
            std::string::npos);
  EXPECT_EQ(dir_.n_files(), 0U);
}

TEST_F(States, AFullDiskKeepsTheOldFile) {
  Text t = text(20);
  const std::string path = dir_.file("state");
  ASSERT_TRUE(t.state.save(path, t.tokens, "tiny"));
  const std::string before = read_text(path);

  ASSERT_TRUE(t.append(100));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit{8192, old_limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto status = t.state.save(path, t.tokens, "tiny");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_NE(status.error().message.find(path), std::string::npos);
  EXPECT_EQ(read_text(path), before);
  EXPECT_EQ(dir_.n_files(), 1U);
}

}  // namespace
}  // namespace longhaul
