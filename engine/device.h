// The device that computes, by its name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/backend.h"
#include "parallel/thread_pool.h"

namespace longhaul {

// "cpu", and "cuda" where it was built in.
std::vector<std::string_view> device_names();

// Error: a name that this build does not know, or no such device here; it says what would work.
Result<std::unique_ptr<Backend>> make_backend(const std::string& device, ThreadPool& pool);

// Bytes that weights, buffers and states may take together.
Result<size_t> available_memory(Backend& backend);

}  // namespace longhaul
