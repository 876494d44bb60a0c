// For tests: pages that can be told apart.
#pragma once

#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "server/page_file.h"

namespace longhaul {

inline PageKey key_of(uint64_t number) {
  return Sha256().update(std::as_bytes(std::span(&number, 1))).digest();
}

// Keys and values that belong to a page and to no other.
inline std::vector<std::byte> payload_of(const PageKey& key, size_t n_bytes) {
  uint32_t seed = 0;
  std::memcpy(&seed, key.data(), sizeof(seed));
  std::mt19937 random(seed);
  std::vector<std::byte> payload(n_bytes);
  for (std::byte& b : payload) b = static_cast<std::byte>(random());
  return payload;
}

// The whole file.
inline std::vector<std::byte> page_bytes(const PageHead& head,
                                         const std::vector<std::byte>& payload) {
  const PageFrame frame = frame_page(head, payload);
  std::vector<std::byte> file = frame.head;
  file.insert(file.end(), payload.begin(), payload.end());
  file.insert(file.end(), frame.tail.begin(), frame.tail.end());
  return file;
}

}  // namespace longhaul
