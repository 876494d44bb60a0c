// Numbers that look random, each a function of a seed and of what it is drawn for. Integer
// arithmetic only, so a seed gives the same numbers on every platform.
#pragma once

#include <cstdint>

namespace longhaul {

// Advances `state` by one step of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
// number generators", 2014) and returns its output.
constexpr uint64_t split_mix64(uint64_t& state) {
  state += 0x9E3779B97F4A7C15U;
  uint64_t z = state;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

// The numbers of one position of a text.
class PositionRandom {
 public:
  constexpr PositionRandom(uint64_t seed, uint64_t position) {
    state_ = split_mix64(seed) + position;
    state_ = split_mix64(state_);
  }
  // The next of them, uniform over the multiples of 2^-53 in (0, 1].
  constexpr double next() {
    return static_cast<double>((split_mix64(state_) >> 11U) + 1) * 0x1.0p-53;
  }

 private:
  uint64_t state_;
};

}  // namespace longhaul
