// Drafts without a model: what followed the last time the text said the same. Texts that are
// edited, quoted or summed up repeat long stretches of themselves, where such drafts cost nothing
// and are nearly always right (CopySpec, arXiv 2502.08923; n-gram drafters before it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace longhaul {

// Deterministic in the tokens it was shown and the rounds that were judged.
class CopyDrafts {
 public:
  // The most that may follow `tokens`: what stood behind the latest earlier place where the last
  // match() tokens, or more, stood too. At most `longest` tokens and room(); empty if there is no
  // such place. The answer is a part of `tokens`. Later calls may bring a longer, shorter or
  // changed text.
  std::span<const int32_t> propose(std::span<const int32_t> tokens, size_t longest);
  // Of the last answer n_accepted of n_drafted tokens were right. Right drafts make the next
  // longer, wrong ones shorter; after mostly wrong ones the text must agree over a longer stretch.
  void judge(size_t n_accepted, size_t n_drafted);

  size_t match() const { return match_; }
  size_t room() const { return room_; }

  static constexpr size_t kLeastMatch = 6;  // tokens; fewer agree by chance in every text
  static constexpr size_t kMostMatch = 48;
  static constexpr size_t kFirstRoom = 4;

 private:
  void index(std::span<const int32_t> tokens);
  size_t slot_of(std::span<const int32_t> tokens, size_t end) const;

  // Open hashing by the kLeastMatch tokens before `end`; the latest `end` of equals. 0: free. At
  // least twice as long as the text.
  std::vector<uint32_t> table_;
  size_t n_indexed_ = 0;  // ends up to here were entered
  size_t match_ = kLeastMatch;
  size_t room_ = kFirstRoom;
};

}  // namespace longhaul
