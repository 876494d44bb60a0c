// The first step from a tree to an automaton: one nondeterministic automaton for each rule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/syntax.h"

namespace longhaul::grammar {

using StateId = uint32_t;

struct NfaState {
  std::vector<StateId> empty;  // where it may go on without a byte
  std::vector<ByteEdge> bytes;
  std::vector<CallEdge> calls;
};

struct NfaCallee {
  std::string name;  // of the rule it comes from
  bool is_repeat = false;
  StateId start = 0, end = 0;  // of a rule
  CalleeId element = 0;        // of a repetition
  uint32_t min = 0, max = 0;
};

// The states of a rule are its own: no other rule's reach them but by calls.
struct Nfa {
  std::vector<NfaState> states;
  std::vector<NfaCallee> callees;
  CalleeId root = 0;
};

// Rules that do not call themselves are copied to where they are used, while they are small: masks
// know more the fewer calls there are. Error: too large.
Result<Nfa> make_nfa(const Syntax& syntax, RuleId root);

// Takes away what no text can pass through. Error: nothing is left of the root.
Status remove_dead_states(Nfa& nfa);

// Error: a rule that may call itself before any byte; it is named. Calls within `nfa` end.
Status check_left_recursion(const Nfa& nfa);

}  // namespace longhaul::grammar
