// A tiny seeded generator whose sequence is the same with every standard library, so that a task
// is named by its seed alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace longhaul {

// SplitMix64: one 64-bit state, each output a mix of a counter.
class TaskRandom {
 public:
  explicit TaskRandom(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  // A number in [0, n), n > 0. The bias of the remainder is below n / 2^64.
  uint64_t below(uint64_t n) { return next() % n; }

  // Fisher and Yates: every order is as likely as any other.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace longhaul
