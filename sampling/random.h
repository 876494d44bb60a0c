// The seeded generator of a request: xoshiro256** seeded by SplitMix64 (Blackman and Vigna,
// "Scrambled linear pseudorandom number generators", 2018). Integer arithmetic only, so a seed
// gives the same numbers on every platform.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace longhaul {

// Advances `state` by one step of SplitMix64 and returns its output.
constexpr uint64_t split_mix64(uint64_t& state) {
  state += 0x9E3779B97F4A7C15U;
  uint64_t z = state;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

class Random {
 public:
  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : state_) word = split_mix64(seed);
  }
  // With the four state words given; they must not all be zero.
  explicit constexpr Random(const std::array<uint64_t, 4>& state) : state_(state) {}

  // Uniform over all 64-bit numbers.
  constexpr uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform over the multiples of 2^-53 in [0, 1).
  constexpr double uniform() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace longhaul
