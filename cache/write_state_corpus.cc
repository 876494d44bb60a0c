// Writes the seeds of state_fuzz: whole state files, and broken ones made of them.
//   write_state_corpus fuzz/corpus/state
#include <fmt/format.h>

#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cache/cache_model.h"
#include "cache/kv_cache.h"
#include "cache/state_file.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

// Saves n random tokens of the cache that state_fuzz restores into.
void save_tokens(const std::string& path, size_t n) {
  const CacheConfig config{
      .n_layers = 1, .n_kv_heads = 1, .head_dim = 32, .block_size = 4, .max_tokens = 256};
  const auto cache = KvCache::create(config).value();
  KvSequence sequence = cache->new_sequence();
  std::mt19937 rng(7);
  LH_CHECK(sequence.prepare_write(0, n).has_value());
  CacheModel(config).write(sequence, 0, n, rng);
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), 100);
  LH_CHECK(sequence.save(path, ids, "tiny").has_value());
}

// The checksums of the changed ones are wrong; state_fuzz puts them right.
std::vector<std::pair<std::string, std::string>> broken_files(const std::string& whole) {
  const auto with = [&](size_t at, const std::string& bytes) {
    return std::string(whole).replace(at, bytes.size(), bytes);
  };
  constexpr size_t kConfigAt = kStateFrameBytes + 12;
  constexpr size_t kBlockSizeAt = kConfigAt + 5 * 8;
  constexpr size_t kTokenCountAt = kConfigAt + 6 * 8;
  const std::string huge(8, '\xFF');
  return {{"empty", ""},
          {"magic-only", whole.substr(0, 8)},
          {"cut-in-config", whole.substr(0, 50)},
          {"cut-in-tiles", whole.substr(0, 700)},
          {"trailing-byte", whole + "x"},
          {"older-version", with(8, std::string(1, static_cast<char>(kStateVersion - 1)))},
          {"huge-section", with(kStateFrameBytes + 4, huge)},
          {"other-block-size", with(kBlockSizeAt, "\x10")},
          {"fewer-tokens", with(kTokenCountAt, "\x14")},
          {"huge-n-tokens", with(kTokenCountAt, huge)},
          {"damaged-key", with(1000, "\x01")}};
}

}  // namespace
}  // namespace longhaul

int main(int argc, char** argv) {
  using namespace longhaul;
  if (argc != 2) {
    fmt::print(stderr, "usage: write_state_corpus FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  for (const size_t n : {0, 1, 21, 70}) save_tokens(fmt::format("{}/tokens-{}", folder, n), n);
  for (const auto& [name, bytes] : broken_files(read_text(folder + "/tokens-21"))) {
    write_text(folder + "/" + name, bytes);
  }
  return 0;
}
