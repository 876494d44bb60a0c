// The file of a page. Numbers are little-endian.
//
//   "LHPAGE01", 32 bytes its key, u32 position of its first token in the text, u32 0, u64 bytes of
//   keys and values, these (Session::export_clean), u64 XXH3-64 of all before
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "longhaul/result.h"
#include "server/page_key.h"

namespace longhaul {

inline constexpr size_t kPageHeadBytes = 56;
inline constexpr size_t kPageFrameBytes = kPageHeadBytes + 8;  // around keys and values

struct PageHead {
  PageKey key = {};
  uint32_t first = 0;  // token
  uint64_t n_bytes = 0;
};

// The head of that page, and what stands behind keys and values.
struct PageFrame {
  std::vector<std::byte> head, tail;
};
PageFrame frame_page(const PageHead& head, std::span<const std::byte> payload);

// `name` stands for the file in messages. Error: no head of a page, or that of another one.
Result<PageHead> read_page_head(std::span<const std::byte> bytes, const PageKey& key,
                                const std::string& name);
// Keys and values in a whole file. Error: it is not, bit for bit, that of this page with so many.
Result<std::span<const std::byte>> read_page(std::span<const std::byte> bytes, const PageKey& key,
                                             uint64_t n_bytes, const std::string& name);
// As it stands at the end of a file that is whole.
uint64_t page_checksum(std::span<const std::byte> head, std::span<const std::byte> payload);

}  // namespace longhaul
