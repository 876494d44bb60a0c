// The device that this room runs on, and its memory as the state sees it.
#pragma once

#include <string>

#include "cuda/runtime.h"
#include "state/device_memory.h"

namespace longhaul::cuda {

struct Card {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int n_multiprocessors = 0;
  size_t n_bytes = 0;
};

// The first device, made current. Error: none, a driver that is too old, a capability below 8.0.
Result<Card> open_device();

// A stream that ends with its owner.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator cudaStream_t() const { return stream_; }  // NOLINT: stands for it
  void wait() const;

 private:
  cudaStream_t stream_ = nullptr;
};

// Bytes read and written per second by a copy within the device: the best of a few, of up to 1 GiB.
double copy_rate(const Stream& stream);

class CudaMemory final : public DeviceMemory {
 public:
  explicit CudaMemory(const Stream& stream) : stream_(stream) {}

  size_t available() const override;
  Result<std::byte*> allocate(size_t n_bytes) override;
  void free(std::byte* memory) override;
  void copy(std::byte* to, const std::byte* from, size_t n_bytes) override;

 private:
  const Stream& stream_;
};

}  // namespace longhaul::cuda
