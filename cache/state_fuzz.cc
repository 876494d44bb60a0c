// Restores hostile state files: as they are, and again with every checksum put right, since no
// fuzzer guesses those.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "cache/kv_cache.h"
#include "cache/state_file.h"

namespace longhaul {
namespace {

void put_checksums_right(std::vector<std::byte>& file) {
  for (size_t at = kStateFrameBytes; file.size() - at >= kSectionFrameBytes;) {
    uint32_t tag;
    uint64_t n_bytes;
    std::memcpy(&tag, &file[at], sizeof(tag));
    std::memcpy(&n_bytes, &file[at + sizeof(tag)], sizeof(n_bytes));
    if (n_bytes > file.size() - at - kSectionFrameBytes) return;
    std::byte* const begin = &file[at] + sizeof(tag) + sizeof(n_bytes);
    const uint64_t checksum = section_checksum(tag, {begin, n_bytes});
    std::memcpy(begin + n_bytes, &checksum, sizeof(checksum));
    at += kSectionFrameBytes + n_bytes;
  }
}

// A restored sequence must be usable like any other; a refused one must be untouched.
void restore_and_use(KvCache& cache, std::span<const std::byte> file) {
  KvSequence sequence = cache.new_sequence();
  const auto state = sequence.restore_from(file, "fuzz", "tiny");
  if (!state) {
    LH_CHECK(sequence.n_tokens() == 0 && !state.error().message.empty());
    return;
  }
  LH_CHECK(state->tokens.size() == state->n_tokens && sequence.n_tokens() == state->n_tokens);
  sequence.truncate(state->n_tokens / 2);
  const std::vector<float> row(cache.config().head_dim, 1.0F);
  LH_CHECK(sequence.prepare_write(state->n_tokens / 2, 1).has_value());
  sequence.write(0, 0, state->n_tokens / 2, 1, row.data(), row.data(), row.size());
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  static const std::unique_ptr<KvCache> kCache =
      KvCache::create(
          {.n_layers = 1, .n_kv_heads = 1, .head_dim = 32, .block_size = 4, .max_tokens = 256})
          .value();
  std::vector<std::byte> file(size);
  if (size > 0) std::memcpy(file.data(), data, size);
  restore_and_use(*kCache, file);
  if (size < kStateFrameBytes) return 0;
  put_checksums_right(file);
  restore_and_use(*kCache, file);
  return 0;
}
