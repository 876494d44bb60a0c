// Which tokens may follow a node of an automaton, whatever its rule was called for: what can be
// found out once for all texts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/machine.h"
#include "grammar/token_trie.h"

namespace longhaul::grammar {

// One bit for each token, the lowest of word 0 for token 0.
using TokenBits = std::vector<uint64_t>;

inline size_t n_words(size_t vocab_size) { return (vocab_size + 63) / 64; }
inline void set_bit(TokenBits& bits, size_t index) {
  bits[index / 64] |= uint64_t{1} << (index % 64);
}
inline void set_bit(TokenBits& bits, int32_t token) { set_bit(bits, static_cast<size_t>(token)); }

// The tokens that a node and what it calls can say before its rule ends, and the nodes of the trie
// where the rule may end in the middle of a token: what follows there depends on the caller.
struct NodeMask {
  std::vector<int32_t> few;         // the tokens, where they are few
  TokenBits many;                   // else
  std::vector<uint32_t> few_exits;  // where they are few
  TokenBits many_exits;             // else: a bit for each node

  bool is_exit(uint32_t node) const { return (many_exits[node / 64] >> (node % 64) & 1) != 0; }
  size_t n_bytes() const {
    return few.size() * sizeof(int32_t) + many.size() * sizeof(uint64_t) +
           few_exits.size() * sizeof(uint32_t) + many_exits.size() * sizeof(uint64_t) +
           sizeof(NodeMask);
  }
};

// Calls said(node) for every node of the trie in [first, end) that `place` can say, which stands
// behind `depth` bytes of their texts, and left(node) where the machine reaches kOpen.
template <class Said, class Left>
void walk(Machine& machine, const TokenTrie& trie, uint32_t first, uint32_t end, size_t depth,
          PlaceId place, std::vector<PlaceId>& path, const Said& said, const Left& left) {
  path.resize(trie.max_depth() + 1);
  path[depth] = place;
  const auto nodes = trie.nodes();
  for (uint32_t i = first; i < end;) {
    const TokenTrie::Node& node = nodes[i];
    const PlaceId next = machine.step(path[node.depth - 1U], node.byte);
    if (next == Machine::kDead) {
      i = node.after;
      continue;
    }
    path[node.depth] = next;
    said(i);
    if (machine.reaches_open(next)) left(i);
    ++i;
  }
}

// Safe to use from several threads.
class TokenMasks {
 public:
  TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

  const Grammar& grammar() const { return *grammar_; }
  const TokenTrie& trie() const { return *trie_; }

  // Of the config's node; with the repetition that it is an element of, if its frame is one: then
  // the rule that may end is the repetition's. Error: a limit was reached.
  Result<std::shared_ptr<const NodeMask>> find(Config config, const Frame& frame);

 private:
  // Counts that no token can tell apart are one.
  using Key = std::tuple<NodeId, CalleeId, uint32_t, uint32_t>;
  Key key_of(Config config, const Frame& frame) const;
  NodeMask make(Config config, const Frame& frame);

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;  // guards what follows
  std::unique_ptr<Machine> machine_;
  std::map<Key, std::shared_ptr<const NodeMask>> masks_;
  size_t n_bytes_ = 0;
  std::vector<PlaceId> path_;
};

}  // namespace longhaul::grammar
