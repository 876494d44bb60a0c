#include "parallel/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

namespace longhaul {
namespace {

long read_number(const std::string& path) {
  std::ifstream in(path);
  long number = -1;
  return in >> number ? number : -1;
}

// Of the processors that the process may use, those of different cores; 0 if nobody knows.
size_t n_physical(const std::string& sysfs) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 0;
  std::set<std::pair<long, long>> cores;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string folder =
        sysfs + "/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const long package = read_number(folder + "physical_package_id");
    const long core = read_number(folder + "core_id");
    if (core < 0) return 0;
    cores.emplace(package, core);
  }
  return cores.size();
}

// "200000 100000": microseconds in each period; "max": no quota.
size_t quota(const std::string& sysfs) {
  std::ifstream in(sysfs + "/fs/cgroup/cpu.max");
  double time = 0, period = 0;
  if (!(in >> time >> period) || period <= 0) return SIZE_MAX;
  return static_cast<size_t>(std::max(1.0, std::floor(time / period)));
}

}  // namespace

size_t usable_cores(const std::string& sysfs) {
  size_t n = n_physical(sysfs);
  if (n == 0) n = std::thread::hardware_concurrency();
  return std::max<size_t>(1, std::min(n, quota(sysfs)));
}

}  // namespace longhaul
