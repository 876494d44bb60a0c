#include "engine/device.h"

#include <fmt/ranges.h>

#include "model/cpu/backend.h"
#include "state/device_memory.h"
#include "state/memory_plan.h"
#ifdef LONGHAUL_HAS_CUDA
#include "cuda/backend.h"
#endif

namespace longhaul {

std::vector<std::string_view> device_names() {
#ifdef LONGHAUL_HAS_CUDA
  return {"cpu", "cuda"};
#else
  return {"cpu"};
#endif
}

Result<std::unique_ptr<Backend>> make_backend(const std::string& device, ThreadPool& pool) {
  if (device == "cpu") return std::make_unique<CpuBackend>(pool);
#ifdef LONGHAUL_HAS_CUDA
  if (device == "cuda") return cuda::make_backend();
#endif
  if (device == "cuda") {
    return unsupported(
        "device cuda: this program was built without it (-DLONGHAUL_CUDA=ON); --device cpu works");
  }
  return bad_input("device: expected one of {}, found '{}'", fmt::join(device_names(), ", "),
                   device);
}

Result<size_t> available_memory(Backend& backend) {
  if (const DeviceMemory* memory = backend.device_memory()) return memory->available();
  return available_memory();
}

}  // namespace longhaul
