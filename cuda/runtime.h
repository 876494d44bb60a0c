// Errors and memory of the device, for the host's side of this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "cuda/launch.h"

namespace longhaul::cuda {

// The runtime's words for an error, behind what was tried. kOutOfMemory where that is the reason.
Status check(cudaError_t status, std::string_view what);

// Memory of the device; move-only. Its numbers are undefined until written.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  // Error: the device has not that much left.
  static Result<DeviceBuffer> create(size_t size) {
    DeviceBuffer buffer;
    buffer.size_ = size;
    if (size == 0) return buffer;
    void* memory = nullptr;
    LH_RETURN_IF_ERROR(check(cudaMalloc(&memory, size * sizeof(T)), "device memory"));
    buffer.data_ = static_cast<T*>(memory);
    return buffer;
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceBuffer() { (void)cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return size_; }

  // Both wait until the copy is done. They fit into the buffer.
  void upload(std::span<const T> from, cudaStream_t stream) const {
    LH_CHECK(from.size() <= size_);
    LH_CUDA(cudaMemcpyAsync(data_, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream));
    LH_CUDA(cudaStreamSynchronize(stream));
  }
  void download(std::span<T> to, cudaStream_t stream) const {
    LH_CHECK(to.size() <= size_);
    LH_CUDA(cudaMemcpyAsync(to.data(), data_, to.size_bytes(), cudaMemcpyDeviceToHost, stream));
    LH_CUDA(cudaStreamSynchronize(stream));
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace longhaul::cuda
