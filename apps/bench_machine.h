// The machine a benchmark ran on: what a reader needs to compare, and the two limits that every
// speed is given as a share of, measured in the same run.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace longhaul {

struct Machine {
  std::string cpu;     // as the system names it
  size_t n_cores = 0;  // this process may use
  size_t memory_bytes = 0;
  std::string system;    // kernel name and release
  std::string compiler;  // that built this program
  double read_bytes_per_s = 0;
  std::string dot_instruction;  // the integer dot product behind dot_ops_per_s
  double dot_ops_per_s = 0;
};

// Reads the facts and measures the two limits with n_threads threads; takes about a second and half
// a gigabyte of memory, given back.
Machine measure_machine(size_t n_threads);

nlohmann::ordered_json to_json(const Machine& machine);

// The most memory this process has held so far.
size_t peak_memory_bytes();

// The processor's name as the system gives it, or "unknown".
std::string cpu_name();
// What it can do, as the system gives it; empty where it does not say.
std::string cpu_features();

}  // namespace longhaul
