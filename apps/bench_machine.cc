#include "apps/bench_machine.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/bandwidth.h"
#include "apps/version.h"
#include "kernels/dot_peak.h"

namespace longhaul {
namespace {

std::string system_name() {
  utsname name = {};
  if (uname(&name) != 0) return "unknown";
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

size_t memory_bytes() {
  const auto pages = sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page_bytes)
                                     : 0;
}

}  // namespace

// "model name" on x86; "CPU part" where there is no name.
std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  std::string line, part = "unknown";
  while (std::getline(in, line)) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name")) return line.substr(colon + 2);
    if (line.starts_with("CPU part")) part = line.substr(colon + 2);
  }
  return part;
}

std::string cpu_features() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("flags") || line.starts_with("Features")) return line;
  }
  return {};
}

size_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

Machine measure_machine(size_t n_threads) {
  Machine machine;
  machine.cpu = cpu_name();
  machine.n_cores = std::thread::hardware_concurrency();
  machine.memory_bytes = memory_bytes();
  machine.system = system_name();
  machine.compiler = compiler_name();
  machine.read_bytes_per_s = measure_read_bandwidth(n_threads);
  ThreadPool pool(n_threads);
  const DotPeak peak = measure_dot_peak(pool);
  machine.dot_instruction = peak.instruction;
  machine.dot_ops_per_s = peak.ops_per_s;
  return machine;
}

nlohmann::ordered_json to_json(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.n_cores},
          {"memory_bytes", machine.memory_bytes},
          {"system", machine.system},
          {"compiler", machine.compiler},
          {"read_bytes_per_s", machine.read_bytes_per_s},
          {"dot_instruction", machine.dot_instruction},
          {"dot_ops_per_s", machine.dot_ops_per_s}};
}

}  // namespace longhaul
