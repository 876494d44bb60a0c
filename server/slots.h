// Slots, as clients of llama.cpp know them: places where texts run one after the other, whose last
// text can be saved, restored and erased. Here any thread runs any text, and what is kept of a text
// serves every other: a slot is a name for the text that ran there last, and a window on the one
// that runs.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// What a running text attended to.
struct SlotActivity {
  std::string request_id;  // of a kept request; empty: none
  AttentionMode mode = AttentionMode::kDense;
  size_t n_tokens = 0;  // of the text, the prompt included
  bool is_sparse = false;
  std::vector<uint32_t> block_counts = {};  // Attended::block_counts
  size_t n_rectifications = 0;
  size_t n_rectified = 0;
};

// May be used by several threads at once.
class Slots {
 public:
  explicit Slots(size_t n) : slots_(n) {}
  size_t size() const { return slots_.size(); }

  // A text begins in the slot that is wanted, though another one runs there, or in an idle one: the
  // one whose text it goes on with, else the one used longest ago.
  size_t begin(std::optional<size_t> wanted, std::span<const int32_t> prompt, size_t owner,
               SlotActivity activity);
  // What it does now.
  void saw(size_t slot, const Attended& attended);
  // It is over, with these tokens; none: it failed, and the slot's last text stays.
  void end(size_t slot, std::vector<int32_t> tokens, size_t owner);

  // The text of a slot of that owner; empty: none.
  std::vector<int32_t> text(size_t slot, size_t owner) const;
  void set(size_t slot, std::vector<int32_t> tokens, size_t owner);

  struct View {
    bool is_processing = false;
    size_t n_tokens = 0;                        // of its text, if that is the owner's
    std::optional<SlotActivity> activity = {};  // while the owner's text runs
  };
  std::vector<View> view(size_t owner) const;

 private:
  struct Slot {
    size_t n_running = 0;
    uint64_t used_at = 0;
    size_t owner = 0;
    std::vector<int32_t> tokens;  // of its last text
    size_t running_owner = 0;     // of the text that began last
    SlotActivity activity;
  };
  size_t choose(std::span<const int32_t> prompt, size_t owner) const;

  mutable std::mutex mutex_;  // guards what follows
  uint64_t clock_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace longhaul
