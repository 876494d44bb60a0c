// Hostile page files: as they are, and again with the checksum put right, since no fuzzer guesses it.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "server/page_file.h"

namespace longhaul {
namespace {

// A file is that of a page, with all its keys and values, or an Error that names it.
void check(std::span<const std::byte> file, const PageKey& key, uint64_t n_bytes) {
  const std::string name = "fuzz";
  const auto payload = read_page(file, key, n_bytes, name);
  if (!payload) {
    LH_CHECK(payload.error().message.starts_with("fuzz: "));
    return;
  }
  LH_CHECK(payload->size() == n_bytes && file.size() == kPageFrameBytes + n_bytes);
  LH_CHECK(payload->data() == file.data() + kPageHeadBytes);
  const auto head = read_page_head(file, key, name);
  LH_CHECK(head.has_value() && head->key == key && head->n_bytes == n_bytes);
  const PageFrame frame = frame_page(*head, *payload);
  LH_CHECK(std::memcmp(frame.head.data(), file.data(), kPageHeadBytes) == 0);
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  std::vector<std::byte> file(size);
  if (size > 0) std::memcpy(file.data(), data, size);
  const PageKey zero = {};
  check(file, zero, 32);
  if (size < kPageFrameBytes) return 0;
  PageKey key;
  std::memcpy(key.data(), file.data() + 8, key.size());
  const size_t n_bytes = size - kPageFrameBytes;
  check(file, key, n_bytes);
  const uint64_t checksum = page_checksum(std::span(file).first(kPageHeadBytes),
                                          std::span(file).subspan(kPageHeadBytes, n_bytes));
  std::memcpy(file.data() + size - sizeof(checksum), &checksum, sizeof(checksum));
  check(file, key, n_bytes);
  check(file, zero, 32);
  return 0;
}
