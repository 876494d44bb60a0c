#include "engine/copy_drafts.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace longhaul {
namespace {

constexpr size_t kFirstSlots = 4096;

bool same_before(std::span<const int32_t> tokens, size_t a, size_t b, size_t n) {
  return a >= n && b >= n &&
         std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(a - n),
                    tokens.begin() + static_cast<std::ptrdiff_t>(a),
                    tokens.begin() + static_cast<std::ptrdiff_t>(b - n));
}

}  // namespace

// The place of the tokens before `end`: that of equal ones, else a free one.
size_t CopyDrafts::slot_of(std::span<const int32_t> tokens, size_t end) const {
  uint64_t hash = 0;
  for (size_t i = end - kLeastMatch; i < end; ++i) {
    hash ^= static_cast<uint64_t>(static_cast<uint32_t>(tokens[i]));
    hash = split_mix64(hash);
  }
  size_t slot = hash & (table_.size() - 1);
  while (table_[slot] != 0) {
    if (same_before(tokens, table_[slot], end, kLeastMatch)) break;
    slot = (slot + 1) & (table_.size() - 1);
  }
  return slot;
}

// Enters every place but the last, which is the one that is looked for.
void CopyDrafts::index(std::span<const int32_t> tokens) {
  // What was cut may come again changed.
  if (tokens.size() <= n_indexed_ || table_.size() < 2 * tokens.size()) {
    table_.assign(std::max(kFirstSlots, std::bit_ceil(4 * tokens.size())), 0);
    n_indexed_ = 0;
  }
  for (size_t end = std::max(n_indexed_ + 1, kLeastMatch); end < tokens.size(); ++end) {
    table_[slot_of(tokens, end)] = static_cast<uint32_t>(end);
    n_indexed_ = end;
  }
}

std::span<const int32_t> CopyDrafts::propose(std::span<const int32_t> tokens, size_t longest) {
  if (tokens.size() <= kLeastMatch) return {};
  index(tokens);
  const size_t end = table_[slot_of(tokens, tokens.size())];
  if (end == 0 || !same_before(tokens, end, tokens.size(), match_)) return {};
  return tokens.subspan(end, std::min({longest, room_, tokens.size() - end}));
}

void CopyDrafts::judge(size_t n_accepted, size_t n_drafted) {
  constexpr size_t kMostRoom = 1024;
  if (n_accepted == n_drafted) {
    match_ = kLeastMatch;
    room_ = std::min(2 * room_, kMostRoom);
    return;
  }
  room_ = std::max(kFirstRoom, n_accepted);
  if (2 * n_accepted < n_drafted) match_ = std::min(2 * match_, kMostMatch);
}

}  // namespace longhaul
