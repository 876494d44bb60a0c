// States at random: a depth to measure speed at, without computing it.
#pragma once

#include "model/backend.h"
#include "state/sequence_state.h"

namespace longhaul {

// Appends n_new tokens. What a position gets depends on the seed and the position alone. Error: no
// room in the cache.
Status fill_random(SequenceState& state, Backend& backend, size_t n_new, uint64_t seed);

}  // namespace longhaul
