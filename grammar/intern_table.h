// Finds things that are stored once: open addressing over numbers of what lies elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace longhaul::grammar {

// Spreads the bits of `value` into those of `seed`.
inline uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t x = (seed ^ value) * 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93U;
  return x ^ x >> 32;
}

class InternTable {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // The number of an equal thing, or kNone. equal(number): whether that one is.
  template <class Equal>
  uint32_t find(uint64_t hash, const Equal& equal) const {
    for (size_t i = hash & mask();; i = (i + 1) & mask()) {
      const Slot& slot = slots_[i];
      if (slot.number == kNone) return kNone;
      if (slot.hash == static_cast<uint32_t>(hash >> 32) && equal(slot.number)) return slot.number;
    }
  }
  // Of a thing that find() did not find.
  void insert(uint64_t hash, uint32_t number) {
    if (2 * (n_ + 1) > slots_.size()) grow();
    put({static_cast<uint32_t>(hash >> 32), number, static_cast<uint32_t>(hash)});
    ++n_;
  }
  void clear() {
    if (n_ > 0) slots_.assign(kFirstSlots, Slot{});
    n_ = 0;
  }

 private:
  static constexpr size_t kFirstSlots = 32;
  struct Slot {
    uint32_t hash = 0;  // its upper half
    uint32_t number = kNone;
    uint32_t low = 0;  // its lower half, to grow with
  };

  size_t mask() const { return slots_.size() - 1; }
  void put(Slot slot) {
    size_t i = slot.low & mask();
    while (slots_[i].number != kNone) i = (i + 1) & mask();
    slots_[i] = slot;
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number != kNone) put(slot);
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kFirstSlots);
  size_t n_ = 0;
};

}  // namespace longhaul::grammar
