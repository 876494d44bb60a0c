#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <numeric>

#include "cache/cache_model.h"
#include "cache/kv_cache.h"
#include "cache/state_file.h"
#include "io/random_gates.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

CacheConfig tiny_config() {
  return {.n_layers = 1, .n_kv_heads = 1, .head_dim = 32, .block_size = 4, .max_tokens = 256};
}

std::vector<int32_t> ids(size_t n) {
  std::vector<int32_t> tokens(n);
  std::iota(tokens.begin(), tokens.end(), 100);
  return tokens;
}

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

class KvState : public testing::Test {
 protected:
  // Appends random tokens to the sequence and its model.
  void append(KvSequence& sequence, CacheModel& model, size_t count) {
    const size_t first = sequence.n_tokens();
    ASSERT_TRUE(sequence.prepare_write(first, count));
    model.write(sequence, first, count, rng_);
  }

  std::string saved(const KvSequence& sequence) {
    const std::string path = dir_.file("saved");
    EXPECT_TRUE(sequence.save(path, ids(sequence.n_tokens()), "tiny"));
    return read_text(path);
  }

  // The file of a tiny cache with `n` tokens.
  std::string tiny_file(size_t n) {
    auto cache = KvCache::create(tiny_config()).value();
    CacheModel model(tiny_config());
    KvSequence sequence = cache->new_sequence();
    append(sequence, model, n);
    return saved(sequence);
  }

  std::string refusal(KvSequence& sequence, const std::string& file) {
    const auto state = sequence.restore_from(bytes_of(file), "x.state", "tiny");
    return state ? "accepted" : state.error().message;
  }

  TestDir dir_;
  std::mt19937 rng_{7};
};

TEST_F(KvState, RestoresEveryBit) {
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    for (const size_t n : {0, 1, 15, 16, 17, 255, 256, 257, 600}) {
      const CacheConfig config{.n_layers = 2,
                               .n_kv_heads = 2,
                               .head_dim = 32,
                               .k_type = type,
                               .v_type = KvType::kQ8_0,
                               .block_size = 16,
                               .max_tokens = 2048};
      auto cache = KvCache::create(config).value();
      CacheModel model(config);
      KvSequence sequence = cache->new_sequence();
      append(sequence, model, n);
      const std::string path = dir_.file("state");
      ASSERT_TRUE(sequence.save(path, ids(n), "model \"A\""));

      auto other_cache = KvCache::create(config).value();
      KvSequence other = other_cache->new_sequence();
      ASSERT_TRUE(other.prepare_write(0, 40));  // replaced by the restored one
      const auto state = other.restore(path, "model \"A\"");
      ASSERT_TRUE(state) << state.error().message;
      EXPECT_EQ(state->n_tokens, n);
      EXPECT_EQ(state->tokens, ids(n));
      EXPECT_TRUE(model.matches(other));
      append(other, model, 30);
      EXPECT_TRUE(model.matches(other));
      other.truncate(n);
      EXPECT_EQ(saved(other), saved(sequence));  // no trace of what was forgotten
    }
  }
}

// Else the fuzzer would start from files that are refused at once.
TEST_F(KvState, TheSeedsOfTheFuzzerRestore) {
  auto cache = KvCache::create(tiny_config()).value();
  for (const size_t n : {0, 1, 21, 70}) {
    KvSequence sequence = cache->new_sequence();
    const std::string path = LONGHAUL_SOURCE_DIR "/fuzz/corpus/state/tokens-" + std::to_string(n);
    EXPECT_EQ(refusal(sequence, read_text(path)), "accepted")
        << path << ": write_state_corpus writes it anew";
    EXPECT_EQ(sequence.n_tokens(), n);
  }
}

// Gate keys are no part of a state: it serves with gates, with others and without.
TEST_F(KvState, GateKeysAreComputedAnew) {
  CacheConfig config = tiny_config();
  auto plain_cache = KvCache::create(config).value();
  CacheModel plain(config);
  KvSequence plain_sequence = plain_cache->new_sequence();
  append(plain_sequence, plain, 150);
  const std::string plain_file = saved(plain_sequence);

  config.gate_dim = 32;
  const GateBase base = {.n_layers = 1, .n_heads = 3, .n_kv_heads = 1, .head_dim = 32};
  const Gates gates(random_gates(base, 4, 32, 1), {.frequencies = {1.0, 0.1}});
  auto cache = KvCache::create(config, &gates).value();
  KvSequence sequence = cache->new_sequence();
  ASSERT_EQ(refusal(sequence, plain_file), "accepted");
  CacheModel model = plain.with_gates(config, &gates);
  EXPECT_TRUE(model.matches(sequence));
  append(sequence, model, 30);
  EXPECT_TRUE(model.matches(sequence));
  sequence.truncate(150);
  EXPECT_EQ(saved(sequence), plain_file);
}

TEST_F(KvState, AnyDamagedByteIsAnError) {
  const std::string file = tiny_file(21);
  auto cache = KvCache::create(tiny_config()).value();
  KvSequence sequence = cache->new_sequence();
  ASSERT_EQ(refusal(sequence, file), "accepted");
  CacheModel model(tiny_config());
  sequence = cache->new_sequence();
  append(sequence, model, 5);
  for (size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    ASSERT_NE(refusal(sequence, damaged), "accepted") << "byte " << at;
    ASSERT_NE(refusal(sequence, file.substr(0, at)), "accepted") << "cut to " << at;
  }
  EXPECT_EQ(refusal(sequence, file + "x"), "x.state: 1 bytes too many after the last section");
  EXPECT_TRUE(model.matches(sequence));  // still what it was
}

TEST_F(KvState, LiesWithRightChecksumsAreNamed) {
  const std::string file = tiny_file(21);
  auto cache = KvCache::create(tiny_config()).value();
  KvSequence sequence = cache->new_sequence();
  const size_t config_at = kStateFrameBytes + 12;
  const auto with_field = [&](size_t field, uint64_t value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, 8);
    return refusal(sequence, forge(file, config_at + 8 * field, bytes));
  };
  EXPECT_EQ(with_field(0, 28), "x.state: saved with n_layers 28, but this cache has 1");
  EXPECT_EQ(with_field(3, 1), "x.state: saved with k_type 1, but this cache has 0");
  EXPECT_EQ(with_field(5, 16), "x.state: saved with block_size 16, but this cache has 4");
  EXPECT_EQ(with_field(6, 257), "x.state: holds 257 tokens, but this cache has room for 256");
  EXPECT_EQ(with_field(6, ~uint64_t{0}),
            "x.state: holds 18446744073709551615 tokens, but this cache has room for 256");
  EXPECT_EQ(with_field(6, 20), "x.state: section tokens: expected 80 bytes, found 84");
  EXPECT_EQ(refusal(sequence, forge(file, 0, "GGUF")),
            "x.state: not a Longhaul state file: it does not begin with LHSTATE1");
  EXPECT_EQ(refusal(sequence, forge(file, 8, "\x02")),  // that kept K apart from V
            "x.state: expected state file version 4, found 2");
  const auto other_model = sequence.restore_from(bytes_of(file), "x.state", "other");
  ASSERT_FALSE(other_model);
  EXPECT_EQ(other_model.error().message,
            "x.state: saved with the model \"tiny\", but this is \"other\"");
  EXPECT_EQ(sequence.n_tokens(), 0U);
}

TEST_F(KvState, RestoreNeedsFreePages) {
  const std::string file = tiny_file(130);  // 3 pages of 64 tokens; the cache has 4
  auto cache = KvCache::create(tiny_config()).value();
  KvSequence sequence = cache->new_sequence();
  CacheModel model(tiny_config());
  append(sequence, model, 100);
  EXPECT_EQ(refusal(sequence, file),
            "x.state: the KV cache is full: tokens 0 to 130 need 3 more pages of 64 tokens, 2 of 4 "
            "are free");
  EXPECT_TRUE(model.matches(sequence));
  sequence.truncate(0);
  EXPECT_EQ(refusal(sequence, file), "accepted");
  EXPECT_EQ(cache->usage().pages_free, 1U);
}

TEST_F(KvState, RefusesToSaveWhatCannotBeRestored) {
  auto cache = KvCache::create(tiny_config()).value();
  KvSequence sequence = cache->new_sequence();
  CacheModel model(tiny_config());
  append(sequence, model, 20);
  const auto wrong_ids = sequence.save(dir_.file("s"), ids(19), "tiny");
  ASSERT_FALSE(wrong_ids);
  EXPECT_NE(wrong_ids.error().message.find("19 token ids for a sequence of 20 tokens"),
            std::string::npos);
  ASSERT_TRUE(sequence.prepare_write(20, 3));
  const auto half_done = sequence.save(dir_.file("s"), ids(23), "tiny");
  ASSERT_FALSE(half_done);
  EXPECT_NE(half_done.error().message.find("a layer holds only 20 of 23 tokens"),
            std::string::npos);
  EXPECT_EQ(dir_.n_files(), 0U);
}

TEST_F(KvState, AFullDiskKeepsTheOldFile) {
  auto cache = KvCache::create(tiny_config()).value();
  KvSequence sequence = cache->new_sequence();
  CacheModel model(tiny_config());
  append(sequence, model, 20);
  const std::string path = dir_.file("state");
  ASSERT_TRUE(sequence.save(path, ids(20), "tiny"));
  const std::string before = read_text(path);

  append(sequence, model, 100);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit{8192, old_limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto status = sequence.save(path, ids(120), "tiny");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_NE(status.error().message.find(path), std::string::npos);
  EXPECT_EQ(read_text(path), before);
  EXPECT_EQ(dir_.n_files(), 1U);
}

}  // namespace
}  // namespace longhaul
