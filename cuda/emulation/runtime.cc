#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <vector>

using Work = std::function<void()>;

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<Work>> work;  // outlives the graph where it still waits
};
struct CUstream_st {
  bool blocking = true;  // the default stream waits for it
  std::deque<Work> waiting;
  std::unique_ptr<CUgraph_st> captured;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;  // that it was recorded in and did not reach yet
  std::chrono::steady_clock::time_point time;
};

namespace {

constexpr int kMajor = 8;                 // compute capability: no early launches
constexpr int kSharedBytes = 227 * 1024;  // that a block of threads may have
constexpr size_t kTotalBytes = size_t{8} << 30;
constexpr size_t kPoisonedBytes = size_t{64} << 20;  // of one allocation
constexpr size_t kSharedWithoutAsking = 48 * 1024;
constexpr uint32_t kMostBlocksYZ = 65535;

std::map<const std::byte*, size_t> device_memory, pinned_memory;
std::map<const void*, size_t> allowed_shared;
std::vector<cudaStream_t> streams;
size_t n_allocated = 0;

bool is_capturing() {
  return std::any_of(streams.begin(), streams.end(),
                     [](cudaStream_t stream) { return stream->captured != nullptr; });
}

void finish(cudaStream_t stream) {
  while (!stream->waiting.empty()) {
    const Work work = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    work();
  }
}

// The default stream does its work at once, behind that of the blocking streams.
cudaError_t enqueue(cudaStream_t stream, Work work) {
  if (stream != nullptr) {
    if (stream->captured != nullptr) {
      stream->captured->work.push_back(std::move(work));
    } else {
      stream->waiting.push_back(std::move(work));
    }
    return cudaSuccess;
  }
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  for (cudaStream_t other : streams) {
    if (other->blocking) finish(other);
  }
  work();
  return cudaSuccess;
}

bool is_in(const std::map<const std::byte*, size_t>& memory, const void* at) {
  auto next = memory.upper_bound(static_cast<const std::byte*>(at));
  if (next == memory.begin()) return false;
  --next;
  return static_cast<const std::byte*>(at) < next->first + next->second;
}

}  // namespace

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
  }
  return "unknown error";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* n) { return *n = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated card", kTotalBytes, kMajor, 0, 108};
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const bool is_major = attribute == cudaDevAttrComputeCapabilityMajor;
  return *value = is_major ? kMajor : kSharedBytes, cudaSuccess;
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() {
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  for (cudaStream_t stream : streams) finish(stream);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t n_bytes) {
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  if (n_bytes > kTotalBytes - n_allocated) return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(256, (n_bytes + 255) / 256 * 256);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xFF, std::min(n_bytes, kPoisonedBytes));
  device_memory[static_cast<const std::byte*>(*memory)] = n_bytes;
  n_allocated += n_bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const cudaError_t status = cudaDeviceSynchronize();
  const auto found = device_memory.find(static_cast<const std::byte*>(memory));
  if (status != cudaSuccess) return status;
  if (found == device_memory.end()) return cudaErrorInvalidValue;
  n_allocated -= found->second;
  device_memory.erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t n_bytes) {
  *memory = std::malloc(n_bytes);
  pinned_memory[static_cast<const std::byte*>(*memory)] = n_bytes;
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  pinned_memory.erase(static_cast<const std::byte*>(memory));
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* n_free, size_t* n_total) {
  *n_total = kTotalBytes;
  *n_free = kTotalBytes - n_allocated;
  return cudaSuccess;
}

cudaError_t cudaMemset(void* to, int value, size_t n_bytes) {
  return cudaMemsetAsync(to, value, n_bytes, nullptr);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t n_bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, n_bytes, kind, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t n_bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(to, n_bytes, value, n_bytes, 1, stream);
}
cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  if (width > pitch || !is_in(device_memory, to)) return cudaErrorInvalidValue;
  return enqueue(stream, [=] {
    for (size_t i = 0; i < height; ++i)
      std::memset(static_cast<std::byte*>(to) + i * pitch, value, width);
  });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, n_bytes, from, n_bytes, n_bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  if (width == 0 || height == 0) return cudaSuccess;
  const bool to_device = kind != cudaMemcpyDeviceToHost;
  const bool from_device = kind != cudaMemcpyHostToDevice;
  if (width > to_pitch || width > from_pitch || is_in(device_memory, to) != to_device ||
      is_in(device_memory, from) != from_device)
    return cudaErrorInvalidValue;
  const auto copy = [=](const std::byte* source) {
    for (size_t i = 0; i < height; ++i)
      std::memcpy(static_cast<std::byte*>(to) + i * to_pitch, source + i * from_pitch, width);
  };
  const auto* source = static_cast<const std::byte*>(from);
  const bool is_staged = !from_device && !is_in(pinned_memory, from) && !is_capturing();
  if (!is_staged) return enqueue(stream, [=] { copy(source); });
  const std::vector<std::byte> staged(source, source + (height - 1) * from_pitch + width);
  return enqueue(stream, [=] { copy(staged.data()); });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = new CUstream_st;
  (*stream)->blocking = flags != cudaStreamNonBlocking;
  streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  finish(stream);
  std::erase(streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream == nullptr) return enqueue(nullptr, [] {});
  if (stream->captured != nullptr) return cudaErrorStreamCaptureUnsupported;
  finish(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->captured != nullptr) return cudaErrorStreamCaptureUnsupported;
  stream->captured = std::make_unique<CUgraph_st>();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream->captured == nullptr) return cudaErrorInvalidValue;
  *graph = stream->captured.release();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{std::make_shared<std::vector<Work>>(graph->work)};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return enqueue(stream, [work = exec->work] {
    for (const Work& each : *work) each();
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const cudaError_t status = cudaEventSynchronize(event);
  delete event;
  return status;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  return enqueue(stream, [event] { event->time = std::chrono::steady_clock::now(); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const bool waits = std::find(streams.begin(), streams.end(), event->stream) != streams.end();
  return waits ? cudaStreamSynchronize(event->stream) : cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  *ms = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

namespace longhaul::cuda::emulation {

cudaError_t allow_shared_memory(const void* kernel, size_t n_bytes) {
  allowed_shared[kernel] = n_bytes;
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, Work thread) {
  const dim3 grid = config.gridDim;
  const size_t n_bytes = config.dynamicSmemBytes;
  const auto allowed = allowed_shared.find(kernel);
  const size_t most = allowed == allowed_shared.end() ? kSharedWithoutAsking : allowed->second;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaErrorInvalidConfiguration;
  if (std::max(grid.y, grid.z) > kMostBlocksYZ) return cudaErrorInvalidConfiguration;
  if (config.blockDim.x == 0 || config.blockDim.x > 1024) return cudaErrorInvalidConfiguration;
  if (n_bytes > std::max(most, kSharedWithoutAsking)) return cudaErrorInvalidValue;
  return enqueue(config.stream, [=, n_threads = config.blockDim.x] {
    run_grid(grid, n_threads, n_bytes, thread);
  });
}

}  // namespace longhaul::cuda::emulation
