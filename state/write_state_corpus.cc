// Writes the seeds of state_fuzz: whole state files, and broken ones made of them.
//   write_state_corpus fuzz/corpus/state
#include <fmt/format.h>

#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/test_dir.h"
#include "state/state_file.h"
#include "state/tiny_state.h"

namespace longhaul {
namespace {

// Saves n random tokens in the slots that state_fuzz restores into.
void save_tokens(const std::string& path, size_t n) {
  const std::vector<SlotConfig> slots = tiny_slots();
  const auto pool = StatePool::create(slots).value();
  SequenceState state = pool->new_sequence();
  std::mt19937 rng(7);
  LH_CHECK(state.reserve(0, n).has_value());
  for (const size_t slot : {0, 1})
    CacheModel(std::get<CacheConfig>(slots[slot])).write(state.paged(slot), 0, n, rng);
  state.recurrent(2).layer(1)[3] = static_cast<float>(n);
  state.recurrent(2).advance(n);
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), 100);
  LH_CHECK(state.save(path, ids, "tiny").has_value());
}

// The checksums of the changed ones are wrong; state_fuzz puts them right.
std::vector<std::pair<std::string, std::string>> broken_files(const std::string& whole) {
  const auto with = [&](size_t at, const std::string& bytes) {
    return std::string(whole).replace(at, bytes.size(), bytes);
  };
  constexpr size_t kConfigAt = kStateFrameBytes + 12;
  constexpr size_t kBlockSizeAt = kConfigAt + 9 * 8;
  constexpr size_t kTokenCountAt = kConfigAt;
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
