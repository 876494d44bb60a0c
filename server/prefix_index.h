// Which beginnings of texts are kept, and which of them serves a prompt best: token by token, under
// a limit, the least recently used ones going first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longhaul {

class PrefixIndex {
 public:
  // The limit counts whole pages of page_tokens tokens, and one page more for each entry, which a
  // shared last page may take. `covers`: an entry serves every prompt that a shorter part of it
  // would (not so where windows forget what lies behind them).
  PrefixIndex(size_t max_tokens, size_t page_tokens, bool covers)
      : max_tokens_(max_tokens), page_tokens_(page_tokens), covers_(covers) {}

  struct Match {
    uint64_t id = 0;
    size_t n_common = 0;  // tokens that the prompt and the text have in common
    size_t n_usable = 0;  // of them, those that are clean
    // What the text goes on with; nothing where it ends. The prompt goes on with something else.
    std::optional<int32_t> next;
  };
  // The entries of that owner that begin as the prompt does, those that save most first; at most
  // the `n_most` best.
  std::vector<Match> find(std::span<const int32_t> prompt, size_t owner, size_t n_most) const;
  bool has_any(size_t owner) const;

  struct Added {
    std::optional<uint64_t> id;       // nothing: an entry has all of it, or it is over the limit
    bool is_covered = false;          // an entry has all of it
    std::vector<uint64_t> gone = {};  // entries that it covers, or that it leaves no room for
  };
  // An entry of which the first n_clean tokens can be used.
  Added add(std::vector<int32_t> tokens, size_t n_clean, size_t owner);
  // Removes the entries of that owner whose clean tokens this text begins with; their ids.
  std::vector<uint64_t> remove(std::span<const int32_t> tokens, size_t owner);
  // The entry was of use.
  void touch(uint64_t id);
  void clear();

  size_t n_entries() const { return entries_.size(); }
  size_t n_tokens() const { return n_tokens_; }  // as the limit counts them

 private:
  struct Entry {
    uint64_t id = 0;
    size_t owner = 0;
    std::vector<int32_t> tokens;
    size_t n_clean = 0;
  };
  size_t size_of(size_t n_clean) const;
  void erase(std::vector<Entry>::iterator entry, std::vector<uint64_t>& gone);

  const size_t max_tokens_, page_tokens_;
  const bool covers_;
  std::vector<Entry> entries_;  // the least recently used first
  uint64_t next_id_ = 0;
  size_t n_tokens_ = 0;
};

}  // namespace longhaul
