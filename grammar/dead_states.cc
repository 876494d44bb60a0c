// States that no text passes through on its way to the end of a rule.
#include <algorithm>

#include "grammar/nfa.h"

namespace longhaul::grammar {
namespace {

class Liveness {
 public:
  explicit Liveness(const Nfa& nfa) : nfa_(nfa) {
    backwards_.resize(nfa.states.size());
    calls_back_.resize(nfa.states.size());
    waiting_.resize(nfa.callees.size());
    repeats_of_.resize(nfa.callees.size());
    starts_.resize(nfa.states.size(), kNone);
    is_live_.resize(nfa.states.size(), false);
    can_end_.resize(nfa.callees.size(), false);
    for (StateId from = 0; from < nfa.states.size(); ++from) {
      const NfaState& state = nfa.states[from];
      for (const StateId to : state.empty) backwards_[to].push_back(from);
      for (const ByteEdge& edge : state.bytes) backwards_[edge.to].push_back(from);
      for (const CallEdge& edge : state.calls) calls_back_[edge.to].push_back({edge.callee, from});
    }
  }

  void find() {
    for (CalleeId id = 0; id < nfa_.callees.size(); ++id) {
      const NfaCallee& callee = nfa_.callees[id];
      if (callee.is_repeat) {
        repeats_of_[callee.element].push_back(id);
        if (callee.min == 0) mark_callee(id);
      } else {
        starts_[callee.start] = id;
      }
    }
    for (const NfaCallee& callee : nfa_.callees) {
      if (!callee.is_repeat) mark(callee.end);
    }
    while (!work_.empty()) {
      const StateId state = work_.back();
      work_.pop_back();
      for (const StateId from : backwards_[state]) mark(from);
      for (const auto& [callee, from] : calls_back_[state]) {
        if (can_end_[callee]) {
          mark(from);
        } else {
          waiting_[callee].push_back(from);
        }
      }
    }
  }

  bool is_live(StateId id) const { return is_live_[id]; }
  bool can_end(CalleeId id) const { return can_end_[id]; }

 private:
  static constexpr CalleeId kNone = kUnbounded;
  struct CallBack {
    CalleeId callee;
    StateId from;
  };

  void mark(StateId id) {
    if (is_live_[id]) return;
    is_live_[id] = true;
    work_.push_back(id);
    if (starts_[id] != kNone) mark_callee(starts_[id]);
  }
  void mark_callee(CalleeId id) {
    if (can_end_[id]) return;
    can_end_[id] = true;
    for (const StateId from : waiting_[id]) mark(from);
    for (const CalleeId repeat : repeats_of_[id]) mark_callee(repeat);
  }

  const Nfa& nfa_;
  std::vector<std::vector<StateId>> backwards_;
  std::vector<std::vector<CallBack>> calls_back_;
  std::vector<std::vector<StateId>> waiting_;      // by callee: live once it can end
  std::vector<std::vector<CalleeId>> repeats_of_;  // by element
  std::vector<CalleeId> starts_;                   // by state
  std::vector<bool> is_live_, can_end_;
  std::vector<StateId> work_;
};

}  // namespace

Status remove_dead_states(Nfa& nfa) {
  Liveness liveness(nfa);
  liveness.find();
  if (!liveness.can_end(nfa.root))
    return bad_input("expected a language with texts in it, found that nothing matches '{}'",
                     nfa.callees[nfa.root].name);
  for (NfaState& state : nfa.states) {
    std::erase_if(state.empty, [&](StateId to) { return !liveness.is_live(to); });
    std::erase_if(state.bytes, [&](const ByteEdge& edge) { return !liveness.is_live(edge.to); });
    std::erase_if(state.calls, [&](const CallEdge& edge) {
      return !liveness.is_live(edge.to) || !liveness.can_end(edge.callee);
    });
  }
  for (NfaCallee& callee : nfa.callees) {
    if (callee.is_repeat && !liveness.can_end(callee.element)) callee.max = 0;
  }
  return {};
}

}  // namespace longhaul::grammar
