#include "cuda/device.h"

#include <algorithm>

namespace longhaul::cuda {
namespace {

constexpr int kLeastMajor = 8;
constexpr size_t kSpare = size_t{256} << 20;  // for the runtime and its graphs

}  // namespace

Result<Card> open_device() {
  int driver = 0;
  int runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  int n_devices = 0;
  if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
    (void)cudaGetLastError();
    if (driver > 0 && driver / 1000 < runtime / 1000) {
      return unsupported(
          "device cuda: the driver knows CUDA {}.{}, this program needs {}.{}; --device cpu works",
          driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    return unsupported("device cuda: no NVIDIA GPU found{}; --device cpu works",
                       driver == 0 ? " (there is no driver)" : "");
  }
  cudaDeviceProp properties{};
  LH_RETURN_IF_ERROR(check(cudaGetDeviceProperties(&properties, 0), "reading the device"));
  if (properties.major < kLeastMajor) {
    return unsupported(
        "device cuda: {} has compute capability {}.{}, expected {}.0 or more; --device cpu works",
        properties.name, properties.major, properties.minor, kLeastMajor);
  }
  LH_RETURN_IF_ERROR(check(cudaSetDevice(0), properties.name));
  // One way to share out the first-level memory: a kernel that wants another one cannot start before
  // the multiprocessor is empty.
  LH_RETURN_IF_ERROR(check(cudaDeviceSetCacheConfig(cudaFuncCachePreferShared),
                           "dividing the first-level memory"));
  return Card{properties.name, properties.major, properties.minor, properties.multiProcessorCount,
              properties.totalGlobalMem};
}

Stream::Stream() { LH_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
Stream::~Stream() { (void)cudaStreamDestroy(stream_); }
void Stream::wait() const { LH_CUDA(cudaStreamSynchronize(stream_)); }

double copy_rate(const Stream& stream) {
  size_t n_bytes = size_t{1} << 30;
  auto from = DeviceBuffer<std::byte>::create(n_bytes);
  auto to = DeviceBuffer<std::byte>::create(n_bytes);
  for (; (!from || !to) && n_bytes > (size_t{1} << 24); n_bytes /= 2) {
    from = DeviceBuffer<std::byte>::create(n_bytes / 2);
    to = DeviceBuffer<std::byte>::create(n_bytes / 2);
  }
  if (!from || !to) return 0;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  LH_CUDA(cudaEventCreate(&begin));
  LH_CUDA(cudaEventCreate(&end));
  LH_CUDA(cudaMemsetAsync(from->data(), 1, from->size(), stream));
  float best_ms = 1e9F;
  for (int run = 0; run < 8; ++run) {
    LH_CUDA(cudaEventRecord(begin, stream));
    LH_CUDA(
        cudaMemcpyAsync(to->data(), from->data(), from->size(), cudaMemcpyDeviceToDevice, stream));
    LH_CUDA(cudaEventRecord(end, stream));
    stream.wait();
    float ms = 0;
    LH_CUDA(cudaEventElapsedTime(&ms, begin, end));
    best_ms = std::min(best_ms, ms);
  }
  LH_CUDA(cudaEventDestroy(begin));
  LH_CUDA(cudaEventDestroy(end));
  return 2e3 * static_cast<double>(from->size()) / static_cast<double>(best_ms);
}

size_t CudaMemory::available() const {
  size_t n_free = 0;
  size_t n_total = 0;
  LH_CUDA(cudaMemGetInfo(&n_free, &n_total));
  return n_free > kSpare ? n_free - kSpare : 0;
}

Result<std::byte*> CudaMemory::allocate(size_t n_bytes) {
  void* memory = nullptr;
  if (const cudaError_t status = cudaMalloc(&memory, n_bytes); status != cudaSuccess) {
    (void)cudaGetLastError();
    return make_error(ErrorCode::kOutOfMemory,
                      "KV cache: {} bytes of the device's memory asked for, about {} are free: {}",
                      n_bytes, available(), cudaGetErrorString(status));
  }
  LH_CUDA(cudaMemsetAsync(memory, 0, n_bytes, stream_));
  return static_cast<std::byte*>(memory);
}

void CudaMemory::free(std::byte* memory) {
  stream_.wait();
  (void)cudaFree(memory);
}

void CudaMemory::copy(std::byte* to, const std::byte* from, size_t n_bytes) {
  LH_CUDA(cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDeviceToDevice, stream_));
}

}  // namespace longhaul::cuda
