// The merges of a byte-level vocabulary: a hash table from a pair of token ids to rank and result.
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/merge.h"

namespace longhaul {

// Open addressing at half load: one or two cache lines a look-up, which is what merging costs.
class PairTable {
 public:
  // Room for n pairs; must come first.
  void reserve(size_t n) {
    size_t capacity = 16;
    while (capacity < 2 * n) capacity *= 2;
    slots_.assign(capacity, Slot{});
  }

  // Keeps the first of equal pairs: the lower rank. False if the pair was there.
  bool insert(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[find_slot(key_of(left, right))];
    if (slot.key != kEmpty) return false;
    slot = {key_of(left, right), merge};
    return true;
  }

  // A Merge with rank kNoMerge if the pair is unknown.
  Merge find(int32_t left, int32_t right) const {
    return slots_[find_slot(key_of(left, right))].merge;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair: ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }

  size_t find_slot(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    uint64_t hash = key * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio: spreads into the high bits
    hash ^= hash >> 32;
    size_t i = hash & mask;
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask;
    return i;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
};

}  // namespace longhaul
