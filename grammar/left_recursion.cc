// Rules that call themselves before any byte: a text's stacks would have no end.
#include "grammar/nfa.h"
#include "grammar/recursion.h"

namespace longhaul::grammar {
namespace {

// What each callee may call before a byte: directly, or after callees that may say nothing.
class FirstCalls {
 public:
  explicit FirstCalls(const Nfa& nfa)
      : nfa_(nfa),
        owner_(nfa.states.size(), kNone),
        may_be_empty_(nfa.callees.size(), false),
        waiting_(nfa.callees.size()),
        repeats_of_(nfa.callees.size()),
        calls_(nfa.callees.size()) {}

  std::vector<std::vector<CalleeId>> find() {
    for (CalleeId id = 0; id < nfa_.callees.size(); ++id) {
      const NfaCallee& callee = nfa_.callees[id];
      if (!callee.is_repeat) continue;
      repeats_of_[callee.element].push_back(id);
      if (callee.max > 0) calls_[id].push_back(callee.element);
      if (callee.min == 0) may_be_empty_[id] = true;
    }
    for (CalleeId id = 0; id < nfa_.callees.size(); ++id) {
      if (!nfa_.callees[id].is_repeat) reach(nfa_.callees[id].start, id);
    }
    while (!work_.empty()) {
      const StateId at = work_.back();
      work_.pop_back();
      const CalleeId owner = owner_[at];
      for (const StateId to : nfa_.states[at].empty) reach(to, owner);
      for (const CallEdge& edge : nfa_.states[at].calls) {
        calls_[owner].push_back(edge.callee);
        if (may_be_empty_[edge.callee]) {
          reach(edge.to, owner);
        } else {
          waiting_[edge.callee].push_back({edge.to, owner});
        }
      }
      if (at == nfa_.callees[owner].end) mark_empty(owner);
    }
    return std::move(calls_);
  }

 private:
  static constexpr CalleeId kNone = kUnbounded;
  struct Waiting {
    StateId to;
    CalleeId owner;
  };

  void reach(StateId id, CalleeId owner) {
    if (owner_[id] != kNone) return;
    owner_[id] = owner;
    work_.push_back(id);
  }
  void mark_empty(CalleeId id) {
    if (may_be_empty_[id]) return;
    may_be_empty_[id] = true;
    for (const Waiting& waiting : waiting_[id]) reach(waiting.to, waiting.owner);
    for (const CalleeId repeat : repeats_of_[id]) mark_empty(repeat);
  }

  const Nfa& nfa_;
  std::vector<CalleeId> owner_;  // by state, once it is reached without a byte
  std::vector<bool> may_be_empty_;
  std::vector<std::vector<Waiting>> waiting_;
  std::vector<std::vector<CalleeId>> repeats_of_;
  std::vector<std::vector<CalleeId>> calls_;
  std::vector<StateId> work_;
};

}  // namespace

Status check_left_recursion(const Nfa& nfa) {
  const std::vector<bool> is_left_recursive = on_a_cycle(FirstCalls(nfa).find());
  for (CalleeId id = 0; id < nfa.callees.size(); ++id) {
    if (!is_left_recursive[id] || nfa.callees[id].is_repeat) continue;
    return unsupported(
        "rule '{}': expected rules that begin with something before they come back to themselves, "
        "found left recursion; a repetition says the same",
        nfa.callees[id].name);
  }
  return {};
}

}  // namespace longhaul::grammar
