// How much memory the states of sequences take, before they are made: the numbers that `inspect`
// prints and that StatePool::create() checks.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/sequence_state.h"

namespace longhaul {

// Bytes of keys, of values, of each kind of summary by its name, and of recurrent states.
struct StateBytes {
  size_t keys = 0;
  size_t values = 0;
  struct Named {
    std::string_view name;
    size_t bytes = 0;
  };
  std::vector<Named> summaries;
  size_t recurrent = 0;

  size_t summary(std::string_view name) const;  // 0 where there is none of that name
  size_t total() const;
  StateBytes& operator+=(const StateBytes& other);
};

// What one token adds to a slot in the long run, all layers and heads; rounded up to a byte. A
// window and a recurrent slot add nothing.
StateBytes bytes_per_token(std::span<const SlotConfig> slots);

// What one sequence of `n_tokens` tokens makes resident: every tile and group it touches, rounded
// to the pages of the system; of a window what is held between passes. Shared prefixes count once;
// a further sequence costs bytes_for_tokens of its own tokens.
StateBytes bytes_for_tokens(std::span<const SlotConfig> slots, size_t n_tokens);

// What a pool takes when it is full.
StateBytes bytes_when_full(std::span<const SlotConfig> slots);

// One line: "1.61 GiB for 131072 tokens (keys 768.0 MiB, values ..., bounds ...)".
std::string describe_plan(const StateBytes& bytes, size_t n_tokens);

// Memory that the system, and the control group if there is one, can still give to this process.
Result<size_t> available_memory();

// An Error with the plan if full slots need more than `available_bytes`. They must be valid.
Status check_fits(std::span<const SlotConfig> slots, size_t available_bytes);

// The most tokens that all sequences together can hold: the least capacity of a slot without a
// window.
size_t capacity_tokens(std::span<const SlotConfig> slots);

// "1.61 GiB", "640.0 MiB", "512 bytes".
std::string format_bytes(size_t n_bytes);

}  // namespace longhaul
