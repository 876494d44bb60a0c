// Byte-pair merging: the best pair of neighbours is joined until no pair is left, in O(n log n).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "base/check.h"

namespace longhaul {

inline constexpr uint32_t kNoMerge = std::numeric_limits<uint32_t>::max();

// What joining two neighbours gives: lower ranks are joined first, and of equal ranks the leftmost.
struct Merge {
  uint32_t rank = kNoMerge;
  int32_t id = -1;
};

// A stretch of text that is one token, or (SentencePiece, id -1) a character that is none.
struct Symbol {
  uint32_t begin;
  uint32_t length;
  int32_t id;
};

// Joins the symbols of one piece of text. Keeps its buffers from call to call.
class SymbolMerger {
 public:
  void clear() { nodes_.clear(); }
  // Appends a symbol right behind the last one.
  void add(uint32_t begin, uint32_t length, int32_t id) {
    LH_DCHECK(nodes_.size() < kNone);
    const auto i = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({{begin, length, id}, i == 0 ? kNone : i - 1, i + 1, {}});
  }

  // Joins until `find_merge(const Symbol& left, const Symbol& right) -> Merge` finds no pair.
  template <class FindMerge>
  void run(FindMerge find_merge);

  // The symbols that are left, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (uint32_t i = 0; i < nodes_.size(); i = nodes_[i].next) visit(nodes_[i].symbol);
  }

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // A list through the vector. A node whose symbol was joined to its left neighbour is skipped by
  // the links and has no pair.
  struct Node {
    Symbol symbol;
    uint32_t previous;
    uint32_t next;  // nodes_.size() or more: the last
    Merge pair;     // with the next symbol
  };

  bool has_next(uint32_t i) const { return nodes_[i].next < nodes_.size(); }

  template <class FindMerge>
  void update_pair(uint32_t i, FindMerge& find_merge) {
    Node& node = nodes_[i];
    node.pair = has_next(i) ? find_merge(node.symbol, nodes_[node.next].symbol) : Merge{};
  }

  // Rank in the upper half, place in the lower: one comparison orders by rank, then left to right.
  // An entry is stale when the pair at its place no longer has its rank.
  static uint64_t queue_key(uint32_t rank, uint32_t place) { return uint64_t{rank} << 32 | place; }

  void push(uint32_t i) {
    if (nodes_[i].pair.rank == kNoMerge) return;
    queue_.push_back(queue_key(nodes_[i].pair.rank, i));
    std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  }

  std::vector<Node> nodes_;
  std::vector<uint64_t> queue_;  // a heap, the smallest key first
};

template <class FindMerge>
void SymbolMerger::run(FindMerge find_merge) {
  queue_.clear();
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    update_pair(i, find_merge);
    if (nodes_[i].pair.rank != kNoMerge) queue_.push_back(queue_key(nodes_[i].pair.rank, i));
  }
  std::make_heap(queue_.begin(), queue_.end(), std::greater<>());
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const uint64_t key = queue_.back();
    queue_.pop_back();
    const auto i = static_cast<uint32_t>(key);
    Node& left = nodes_[i];
    if (left.pair.rank != static_cast<uint32_t>(key >> 32)) continue;

    Node& right = nodes_[left.next];
    left.symbol.length += right.symbol.length;
    left.symbol.id = left.pair.id;
    left.next = right.next;
    right.pair = {};
    if (has_next(i)) nodes_[left.next].previous = i;
    update_pair(i, find_merge);
    push(i);
    if (left.previous != kNone) {
      update_pair(left.previous, find_merge);
      push(left.previous);
    }
  }
}

}  // namespace longhaul
