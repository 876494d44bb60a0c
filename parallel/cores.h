// How many threads are worth starting.
#pragma once

#include <cstddef>
#include <string>

namespace longhaul {

// The physical cores that this process may run on, at most as many as a quota of its control group
// allows; at least 1. Two threads of one core share its arithmetic and its way to memory, so that
// the second one brings little. `sysfs` is the folder /sys.
size_t usable_cores(const std::string& sysfs = "/sys");

}  // namespace longhaul
