// A language as a pushdown automaton over bytes: nodes with edges for bytes, and calls of other
// parts, which come back to where they were called from.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "grammar/syntax.h"
#include "longhaul/grammar.h"

namespace longhaul::grammar {

using NodeId = uint32_t;
using CalleeId = uint32_t;

struct ByteEdge {
  uint8_t first = 0, last = 0;  // both are in it
  NodeId to = 0;
};

struct CallEdge {
  CalleeId callee = 0;
  NodeId to = 0;         // where it comes back to
  bool is_tail = false;  // nothing is left to do there: the caller's caller may take its place
};

// What can be called: a rule; or a repetition that is counted, so that {1,1000} costs no nodes.
struct Callee {
  NodeId start = 0;  // of a rule
  bool is_repeat = false;
  CalleeId element = 0;       // of a repetition: a rule
  uint32_t min = 0, max = 0;  // kUnbounded: no end
};

struct Node {
  uint32_t first_edge = 0, n_edges = 0;  // ascending, apart
  uint32_t first_call = 0, n_calls = 0;  // of different callees
  bool is_final = false;                 // the rule may end here
};

// Deterministic but for calls. From every node a text leads to the end of its rule, and no rule
// calls itself before a byte.
struct Automaton {
  std::vector<Node> nodes;
  std::vector<ByteEdge> edges;
  std::vector<CallEdge> calls;
  std::vector<Callee> callees;
  CalleeId root = 0;

  std::span<const ByteEdge> edges_of(NodeId id) const {
    return {edges.data() + nodes[id].first_edge, nodes[id].n_edges};
  }
  std::span<const CallEdge> calls_of(NodeId id) const {
    return {calls.data() + nodes[id].first_call, nodes[id].n_calls};
  }
};

// Error: nothing that the rule may say, left recursion, too many states; the rule is named.
Result<Automaton> compile(const Syntax& syntax, RuleId root);

}  // namespace longhaul::grammar

namespace longhaul {

class Grammar {
 public:
  explicit Grammar(grammar::Automaton automaton);

  const grammar::Automaton& automaton() const { return automaton_; }
  // Equal for equal automata, and else different.
  using Fingerprint = std::array<uint64_t, 2>;
  const Fingerprint& fingerprint() const { return fingerprint_; }

 private:
  grammar::Automaton automaton_;
  Fingerprint fingerprint_;
};

}  // namespace longhaul
