// Restores hostile state files: as they are, and again with every checksum put right, since no
// fuzzer guesses those.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "state/state_file.h"
#include "state/tiny_state.h"

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

// A restored state must be usable like any other; a refused one must be untouched.
void restore_and_use(StatePool& pool, std::span<const std::byte> file) {
  SequenceState state = pool.new_sequence();
  const auto restored = state.restore_from(file, "fuzz", "tiny");
  if (!restored) {
    LH_CHECK(state.n_tokens() == 0 && !restored.error().message.empty());
    return;
  }
  LH_CHECK(restored->tokens.size() == restored->n_tokens && state.n_tokens() == restored->n_tokens);
  const size_t reached = state.rewind(restored->n_tokens / 2);
  const std::vector<float> row(64, 1.0F);
  LH_CHECK(state.reserve(reached, 1).has_value());
  for (const size_t slot : {0, 1})
    state.paged(slot).write(0, 0, reached, 1, row.data(), 0, row.data(), 0);
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  static const std::unique_ptr<StatePool> kPool = StatePool::create(tiny_slots()).value();
  std::vector<std::byte> file(size);
  if (size > 0) std::memcpy(file.data(), data, size);
  restore_and_use(*kPool, file);
  if (size < kStateFrameBytes) return 0;
  put_checksums_right(file);
  restore_and_use(*kPool, file);
  return 0;
}
