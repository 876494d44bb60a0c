// What a sequence keeps between passes, in slots: each serves one or more layers and is either
// paged keys and values or a recurrent state of fixed size. All slots keep one contract: reserve,
// mark, rewind, fork, save, bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "state/kv_cache.h"
#include "state/recurrent.h"

namespace longhaul {

using SlotConfig = std::variant<CacheConfig, RecurrentConfig>;

// Which part of a state belongs to a layer: layer `layer` of slot `slot`.
struct SlotLayer {
  size_t slot = 0;
  size_t layer = 0;
};

// What a state file brought back.
struct RestoredState {
  size_t n_tokens = 0;
  std::vector<int32_t> tokens;  // [n_tokens] the ids that were saved with them
};

class SequenceState;

// The memory of the states of all sequences; one per model. As for KvCache, one thread at a time.
class StatePool {
 public:
  // Error: an impossible slot, or full paged slots that would not fit in the memory available now.
  // `device`: in whose memory the pages lie; null: the host's.
  static Result<std::unique_ptr<StatePool>> create(std::vector<SlotConfig> slots,
                                                   DeviceMemory* device = nullptr);

  std::span<const SlotConfig> slots() const { return slots_; }
  SequenceState new_sequence();
  // Whether stretches of whole tiles of a text can be taken out and put in alone: there are only
  // paged slots without windows.
  bool is_piecewise() const;
  // Of `count` tokens, a multiple of kTileTokens, in all slots.
  size_t tiles_bytes(size_t count) const;
  // Pages of the slot that grows with the text, memory of all slots.
  CacheUsage usage() const;

 private:
  friend class SequenceState;
  StatePool() = default;

  std::vector<SlotConfig> slots_;
  std::vector<std::unique_ptr<KvCache>> caches_;  // [slots]; null where the slot is recurrent
};

// The state of one sequence. Move-only; must not outlive its pool.
class SequenceState {
 public:
  size_t n_tokens() const { return n_tokens_; }
  // Tokens of a block of the slots that selectors choose from.
  size_t block_size() const;

  // Makes [first, first + count) writable and raises n_tokens() to the end of the range. `first` is
  // n_tokens(), or a length that reachable() gives back: tokens from there on are written again. On
  // Error (the pages needed and free) nothing has changed.
  Status reserve(size_t first, size_t count);

  size_t n_slots() const { return slots_.size(); }
  bool is_paged(size_t slot) const { return std::holds_alternative<KvSequence>(slots_[slot]); }
  KvSequence& paged(size_t slot) { return std::get<KvSequence>(slots_[slot]); }
  const KvSequence& paged(size_t slot) const { return std::get<KvSequence>(slots_[slot]); }
  RecurrentState& recurrent(size_t slot) { return std::get<RecurrentState>(slots_[slot]); }
  const RecurrentState& recurrent(size_t slot) const {
    return std::get<RecurrentState>(slots_[slot]);
  }

  // Keeps what rewind() needs to come back to n_tokens(): snapshots of recurrent slots. Nothing for
  // paged ones, which can be cut wherever what a query sees is still held.
  void mark();
  // The length that rewind(n) would reach: n where every slot can be cut there, else that of the
  // last mark before n, else 0.
  size_t reachable(size_t n) const;
  // Forgets everything after that length and returns it; the caller runs the tokens between it and
  // n again. n <= n_tokens().
  size_t rewind(size_t n);
  // Lengths below `floor` will not be rewound to, nor tokens before it written again: windows give
  // the pages back that nobody sees any more.
  void release(size_t floor);

  // A sequence with the same tokens and marks that shares all pages until one of the two
  // writes. Error if there are no free pages for either side to write or rewind into.
  Result<SequenceState> fork() const;

  // Stretches of whole tiles, where StatePool::is_piecewise(); KvSequence says what the bytes are,
  // slot by slot.
  size_t tiles_bytes(size_t count) const { return pool_->tiles_bytes(count); }
  void copy_tiles(size_t first, size_t count, std::span<std::byte> to) const;
  // Appends `count` tokens; n_tokens() is a multiple of kTileTokens as well. On Error nothing has
  // changed.
  Status append_tiles(size_t count, std::span<const std::byte> from);

  // Writes a state file (state/README.md): to a temporary file beside `path`, checked, then
  // renamed, so that an old file survives any Error. tokens: the ids of all n_tokens() tokens.
  Status save(const std::string& path, std::span<const int32_t> tokens,
              std::string_view model_id) const;
  // Replaces this sequence by a saved one, bit for bit. On Error it is unchanged. Needs free pages
  // for the restored tokens while it still holds its own.
  Result<RestoredState> restore(const std::string& path, std::string_view model_id);
  // The same from the bytes of a state file; `name` stands for it in messages.
  Result<RestoredState> restore_from(std::span<const std::byte> bytes, const std::string& name,
                                     std::string_view model_id);

 private:
  friend class StatePool;
  using Slot = std::variant<KvSequence, RecurrentState>;
  explicit SequenceState(StatePool& pool);

  StatePool* pool_ = nullptr;
  size_t n_tokens_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace longhaul
