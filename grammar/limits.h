// What bounds the work that a grammar from outside can cause. Each limit ends in an error that
// names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul::grammar {

inline constexpr size_t kMostSourceBytes = 1 << 20;  // of a grammar, a schema
inline constexpr size_t kMostRules = 20'000;
inline constexpr size_t kMostNesting = 100;        // groups, values within values of a schema
inline constexpr size_t kMostParts = 200'000;      // nodes of the syntax tree
inline constexpr size_t kMostStates = 300'000;     // of the automaton, before and after making it
                                                   // deterministic
inline constexpr uint32_t kMostRepeats = 1 << 20;  // of {m,n}
inline constexpr size_t kMostInlined = 4'000;      // states of rules that are copied into one
inline constexpr size_t kMostUnrolled = 48;        // parts of a repetition that is written out
inline constexpr size_t kMostConfigs = 2'000;      // stacks of a text at one place
inline constexpr size_t kMostFrames = 1 << 20;     // kinds of stacks over a whole text
inline constexpr size_t kMostSets = 1 << 17;       // kinds of places over a whole text

}  // namespace longhaul::grammar
