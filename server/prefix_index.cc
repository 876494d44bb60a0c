#include "server/prefix_index.h"

#include <algorithm>

#include "base/rounding.h"

namespace longhaul {
namespace {

// Of the first n tokens of both.
size_t n_common(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

}  // namespace

std::vector<PrefixIndex::Match> PrefixIndex::find(std::span<const int32_t> prompt, size_t owner,
                                                  size_t n_most) const {
  std::vector<Match> matches;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->owner != owner) continue;
    const size_t n = n_common(prompt, entry->tokens);
    if (n == 0) continue;
    Match match{entry->id, n, std::min(n, entry->n_clean), std::nullopt};
    if (n < entry->tokens.size()) match.next = entry->tokens[n];
    matches.push_back(match);
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const Match& a, const Match& b) { return a.n_usable > b.n_usable; });
  if (matches.size() > n_most) matches.resize(n_most);
  return matches;
}

bool PrefixIndex::has_any(size_t owner) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [owner](const Entry& entry) { return entry.owner == owner; });
}

size_t PrefixIndex::size_of(size_t n_clean) const {
  return (ceil_div(n_clean, page_tokens_) + 1) * page_tokens_;
}

void PrefixIndex::erase(std::vector<Entry>::iterator entry, std::vector<uint64_t>& gone) {
  n_tokens_ -= size_of(entry->n_clean);
  gone.push_back(entry->id);
  entries_.erase(entry);
}

PrefixIndex::Added PrefixIndex::add(std::vector<int32_t> tokens, size_t n_clean, size_t owner) {
  Added added;
  if (n_clean == 0 || size_of(n_clean) > max_tokens_) return added;
  const std::span<const int32_t> clean(tokens.data(), n_clean);
  for (size_t i = entries_.size(); covers_ && i-- > 0;) {
    const Entry& entry = entries_[i];
    const size_t n_shorter = std::min(n_clean, entry.n_clean);
    if (entry.owner != owner || n_common(clean, entry.tokens) < n_shorter) continue;
    if (entry.n_clean >= n_clean) {
      added.is_covered = true;
      touch(entry.id);
      return added;
    }
    erase(entries_.begin() + static_cast<std::ptrdiff_t>(i), added.gone);
  }
  while (n_tokens_ + size_of(n_clean) > max_tokens_) erase(entries_.begin(), added.gone);
  added.id = next_id_++;
  n_tokens_ += size_of(n_clean);
  entries_.push_back({*added.id, owner, std::move(tokens), n_clean});
  return added;
}

std::vector<uint64_t> PrefixIndex::remove(std::span<const int32_t> tokens, size_t owner) {
  std::vector<uint64_t> gone;
  for (size_t i = entries_.size(); i-- > 0;) {
    const Entry& entry = entries_[i];
    const std::span<const int32_t> clean(entry.tokens.data(), entry.n_clean);
    if (entry.owner != owner || n_common(clean, tokens) < entry.n_clean) continue;
    erase(entries_.begin() + static_cast<std::ptrdiff_t>(i), gone);
  }
  return gone;
}

void PrefixIndex::touch(uint64_t id) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [id](const Entry& other) { return other.id == id; });
  if (entry != entries_.end()) std::rotate(entry, entry + 1, entries_.end());
}

void PrefixIndex::clear() {
  entries_.clear();
  n_tokens_ = 0;
}

}  // namespace longhaul
