// Memory of another device, in which the pages of a cache may lie. Its addresses are numbers to the
// host, which computes with them and never looks behind them.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace longhaul {

class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  // What allocate() may still hand out, about.
  virtual size_t available() const = 0;
  // Zeros. Error: no room, with both counts.
  virtual Result<std::byte*> allocate(size_t n_bytes) = 0;
  virtual void free(std::byte* memory) = 0;
  // In turn with the operations of the device.
  virtual void copy(std::byte* to, const std::byte* from, size_t n_bytes) = 0;
};

}  // namespace longhaul
