// Which rules can come back to themselves.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::grammar {

// True for the vertices of a graph that lie on a cycle. targets[v]: where the edges of v lead. Does
// not recurse, whatever the graph.
std::vector<bool> on_a_cycle(const std::vector<std::vector<uint32_t>>& targets);

}  // namespace longhaul::grammar
