#include "server/slots.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

size_t n_common(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(n);
  return static_cast<size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

}  // namespace

// A text goes on with another if it has at least half of it.
size_t Slots::choose(std::span<const int32_t> prompt, size_t owner) const {
  std::optional<size_t> oldest, nearest;
  size_t most = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.n_running > 0) continue;
    if (!oldest || slot.used_at < slots_[*oldest].used_at) oldest = i;
    if (slot.owner != owner || slot.tokens.empty()) continue;
    const size_t n = n_common(slot.tokens, prompt);
    if (2 * n < slot.tokens.size() || n <= most) continue;
    most = n;
    nearest = i;
  }
  return nearest.value_or(oldest.value_or(0));
}

size_t Slots::begin(std::optional<size_t> wanted, std::span<const int32_t> prompt, size_t owner,
                    SlotActivity activity) {
  const std::lock_guard lock(mutex_);
  const size_t index = wanted ? *wanted : choose(prompt, owner);
  LH_CHECK(index < slots_.size());
  Slot& slot = slots_[index];
  ++slot.n_running;
  slot.used_at = ++clock_;
  slot.running_owner = owner;
  slot.activity = std::move(activity);
  return index;
}

void Slots::saw(size_t slot, const Attended& attended) {
  const std::lock_guard lock(mutex_);
  SlotActivity& activity = slots_[slot].activity;
  activity.n_tokens = attended.n_tokens;
  activity.is_sparse = attended.is_sparse;
  activity.block_counts.assign(attended.block_counts.begin(), attended.block_counts.end());
  activity.n_rectifications = attended.n_rectifications;
  activity.n_rectified = attended.n_rectified;
}

void Slots::end(size_t slot, std::vector<int32_t> tokens, size_t owner) {
  const std::lock_guard lock(mutex_);
  --slots_[slot].n_running;
  if (tokens.empty()) return;
  slots_[slot].tokens = std::move(tokens);
  slots_[slot].owner = owner;
}

std::vector<int32_t> Slots::text(size_t slot, size_t owner) const {
  const std::lock_guard lock(mutex_);
  if (slots_[slot].owner != owner) return {};
  return slots_[slot].tokens;
}

void Slots::set(size_t slot, std::vector<int32_t> tokens, size_t owner) {
  const std::lock_guard lock(mutex_);
  slots_[slot].tokens = std::move(tokens);
  slots_[slot].owner = owner;
  slots_[slot].used_at = ++clock_;
}

std::vector<Slots::View> Slots::view(size_t owner) const {
  const std::lock_guard lock(mutex_);
  std::vector<View> views(slots_.size());
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    views[i].is_processing = slot.n_running > 0;
    if (slot.owner == owner) views[i].n_tokens = slot.tokens.size();
    if (slot.n_running > 0 && slot.running_owner == owner) views[i].activity = slot.activity;
  }
  return views;
}

}  // namespace longhaul
