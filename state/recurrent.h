// A recurrent slot: what layers keep of a sequence in a fixed number of bytes (retention, and any
// other mixer whose state is a sum over the past). It cannot be cut like a cache, only put back to
// a snapshot.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"

namespace longhaul {

struct RecurrentConfig {
  size_t n_layers = 0;
  size_t n_floats = 0;     // of one layer's state
  size_t n_snapshots = 4;  // kept; the oldest goes first
};

// An Error that names the field, what is allowed and what was found.
Status validate(const RecurrentConfig& config);

// The states of all layers of one sequence, zero before the first token. Move-only.
class RecurrentState {
 public:
  explicit RecurrentState(const RecurrentConfig& config);

  const RecurrentConfig& config() const { return config_; }
  size_t n_tokens() const { return n_tokens_; }

  // The state [n_floats] of a layer after n_tokens() tokens; a pass over the tokens behind it
  // leaves it as it is after those.
  std::span<float> layer(size_t index);
  std::span<const float> layer(size_t index) const;
  // The pass wrote the states after `n_tokens` tokens.
  void advance(size_t n_tokens) { n_tokens_ = n_tokens; }

  // Keeps a snapshot of the present state.
  void mark();
  // The longest length, at most n, that rewind() can reach: n itself where it is the present one.
  size_t reachable(size_t n) const;
  // Puts the state back to that length, which must be reachable. Later snapshots are forgotten.
  void rewind(size_t n_tokens);

  RecurrentState fork() const;
  // All layers, for a state file.
  std::span<const float> floats() const { return floats_.span(); }
  // Replaces the states of all layers [n_layers * n_floats] by those after n_tokens tokens.
  void assign(std::span<const float> floats, size_t n_tokens);
  // With its snapshots.
  static size_t bytes(const RecurrentConfig& config);

 private:
  struct Snapshot {
    size_t n_tokens = 0;
    AlignedBuffer<float> floats;
  };

  RecurrentConfig config_;
  size_t n_tokens_ = 0;
  AlignedBuffer<float> floats_;      // [n_layers, n_floats]
  std::vector<Snapshot> snapshots_;  // by length, ascending
};

}  // namespace longhaul
