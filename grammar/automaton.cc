#include "grammar/automaton.h"

#include <xxhash.h>

#include <algorithm>
#include <map>

#include "grammar/limits.h"
#include "grammar/nfa.h"

namespace longhaul::grammar {
namespace {

using Subset = std::vector<StateId>;  // ascending

// The subset construction, rule by rule: calls are symbols beside the bytes.
class Determiniser {
 public:
  explicit Determiniser(const Nfa& nfa) : nfa_(nfa), seen_at_(nfa.states.size(), 0) {}

  Result<Automaton> run() {
    out_.root = nfa_.root;
    out_.callees.resize(nfa_.callees.size());
    for (CalleeId id = 0; id < nfa_.callees.size(); ++id) {
      const NfaCallee& callee = nfa_.callees[id];
      out_.callees[id] = {.is_repeat = callee.is_repeat,
                          .element = callee.element,
                          .min = callee.min,
                          .max = callee.max};
      if (!callee.is_repeat) LH_RETURN_IF_ERROR(add_rule(id));
    }
    mark_tails();
    return std::move(out_);
  }

 private:
  Status add_rule(CalleeId id) {
    known_.clear();
    pending_.clear();
    end_ = nfa_.callees[id].end;
    out_.callees[id].start = node_of({nfa_.callees[id].start});
    for (size_t i = 0; i < pending_.size(); ++i) {
      n_members_ += pending_[i]->first.size();
      if (out_.nodes.size() > kMostStates || n_members_ > kMostMembers)
        return bad_input(
            "rule '{}': expected at most {} states of a deterministic automaton, found "
            "more",
            nfa_.callees[id].name, kMostStates);
      fill(pending_[i]->second, pending_[i]->first);
    }
    return {};
  }

  // The node that stands for these states and all that they reach without a byte.
  NodeId node_of(Subset states) {
    close(states);
    const auto [known, is_new] =
        known_.try_emplace(std::move(states), static_cast<NodeId>(out_.nodes.size()));
    if (is_new) {
      out_.nodes.emplace_back();
      pending_.push_back(&*known);
    }
    return known->second;
  }

  void close(Subset& states) {
    ++round_;
    Subset kept;
    while (!states.empty()) {
      const StateId id = states.back();
      states.pop_back();
      if (seen_at_[id] == round_) continue;
      seen_at_[id] = round_;
      const NfaState& state = nfa_.states[id];
      states.insert(states.end(), state.empty.begin(), state.empty.end());
      // The others say nothing themselves.
      if (!state.bytes.empty() || !state.calls.empty() || id == end_) kept.push_back(id);
    }
    std::sort(kept.begin(), kept.end());
    states = std::move(kept);
  }

  void fill(NodeId id, const Subset& states) {
    std::vector<ByteEdge> bytes;
    std::map<CalleeId, Subset> calls;
    for (const StateId state : states) {
      const NfaState& from = nfa_.states[state];
      bytes.insert(bytes.end(), from.bytes.begin(), from.bytes.end());
      for (const CallEdge& edge : from.calls) calls[edge.callee].push_back(edge.to);
    }
    const std::vector<ByteEdge> edges = split(bytes);
    std::vector<CallEdge> call_edges;
    for (auto& [callee, targets] : calls)
      call_edges.push_back({.callee = callee, .to = node_of(std::move(targets))});
    Node& node = out_.nodes[id];  // where nodes were added, they have moved
    node.is_final = std::binary_search(states.begin(), states.end(), end_);
    node.first_edge = static_cast<uint32_t>(out_.edges.size());
    node.n_edges = static_cast<uint32_t>(edges.size());
    out_.edges.insert(out_.edges.end(), edges.begin(), edges.end());
    node.first_call = static_cast<uint32_t>(out_.calls.size());
    node.n_calls = static_cast<uint32_t>(call_edges.size());
    out_.calls.insert(out_.calls.end(), call_edges.begin(), call_edges.end());
  }

  // Overlapping edges to edges that do not, neighbours with the same target joined.
  std::vector<ByteEdge> split(const std::vector<ByteEdge>& bytes) {
    std::vector<int> cuts;
    for (const ByteEdge& edge : bytes) {
      cuts.push_back(edge.first);
      cuts.push_back(edge.last + 1);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<ByteEdge> edges;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      Subset targets;
      for (const ByteEdge& edge : bytes) {
        if (edge.first <= cuts[i] && cuts[i] <= edge.last) targets.push_back(edge.to);
      }
      if (targets.empty()) continue;
      const NodeId to = node_of(std::move(targets));
      const auto first = static_cast<uint8_t>(cuts[i]),
                 last = static_cast<uint8_t>(cuts[i + 1] - 1);
      if (!edges.empty() && edges.back().to == to && edges.back().last + 1 == first) {
        edges.back().last = last;
      } else {
        edges.push_back({first, last, to});
      }
    }
    return edges;
  }

  void mark_tails() {
    for (CallEdge& edge : out_.calls) {
      const Node& to = out_.nodes[edge.to];
      edge.is_tail = to.is_final && to.n_edges == 0 && to.n_calls == 0;
    }
  }

  static constexpr size_t kMostMembers = 4 * kMostStates;  // of all subsets: memory and time

  const Nfa& nfa_;
  Automaton out_;
  StateId end_ = 0;
  std::map<Subset, NodeId> known_;  // of the rule
  std::vector<std::map<Subset, NodeId>::const_pointer> pending_;
  std::vector<uint32_t> seen_at_;  // by state: the last round of close() that saw it
  uint32_t round_ = 0;
  size_t n_members_ = 0;
};

}  // namespace

Result<Automaton> compile(const Syntax& syntax, RuleId root) {
  LH_ASSIGN_OR_RETURN(Nfa nfa, make_nfa(syntax, root));
  LH_RETURN_IF_ERROR(remove_dead_states(nfa));
  LH_RETURN_IF_ERROR(check_left_recursion(nfa));
  return Determiniser(nfa).run();
}

}  // namespace longhaul::grammar

namespace longhaul {
namespace {

// The fields one by one: padding is not part of what is compared.
std::vector<uint32_t> words(const grammar::Automaton& automaton) {
  std::vector<uint32_t> out{automaton.root, static_cast<uint32_t>(automaton.nodes.size())};
  for (const grammar::Node& node : automaton.nodes)
    out.insert(out.end(), {node.n_edges, node.n_calls, uint32_t{node.is_final}});
  for (const grammar::ByteEdge& edge : automaton.edges)
    out.insert(out.end(), {edge.first, edge.last, edge.to});
  for (const grammar::CallEdge& edge : automaton.calls)
    out.insert(out.end(), {edge.callee, edge.to});
  for (const grammar::Callee& callee : automaton.callees)
    out.insert(out.end(),
               {callee.start, uint32_t{callee.is_repeat}, callee.element, callee.min, callee.max});
  return out;
}

}  // namespace

Grammar::Grammar(grammar::Automaton automaton) : automaton_(std::move(automaton)) {
  const std::vector<uint32_t> all = words(automaton_);
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size() * sizeof(uint32_t));
  fingerprint_ = {hash.low64, hash.high64};
}

}  // namespace longhaul
