// The read bandwidth of this machine's memory: what a decode step is measured against.
#pragma once

#include <cstddef>

namespace longhaul {

// Bytes per second that n_threads threads together read from a buffer far larger than the caches;
// the best of several passes. Takes about a second.
double measure_read_bandwidth(size_t n_threads);

}  // namespace longhaul
