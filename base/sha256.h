// SHA-256 (FIPS 180-4): names for contents that nobody can make two of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul {

using Sha256Digest = std::array<std::byte, 32>;

class Sha256 {
 public:
  Sha256& update(std::span<const std::byte> bytes);
  // Of all bytes so far; the last call.
  Sha256Digest digest();

 private:
  void take_block(const std::byte* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_ = {};  // its first n_bytes_ % 64 bytes wait
  uint64_t n_bytes_ = 0;
};

}  // namespace longhaul
