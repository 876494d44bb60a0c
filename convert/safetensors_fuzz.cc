// Any bytes must give tensors that lie in them, one behind the other, or an Error.
#include "base/check.h"
#include "convert/safetensors.h"

namespace longhaul {
namespace {

// Touches every byte of data, so that AddressSanitizer sees a span that leaves the file.
uint64_t sum_bytes(const SafetensorsTensor& tensor) {
  uint64_t sum = 0;
  for (const std::byte b : tensor.data) sum += static_cast<uint64_t>(b);
  return sum;
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto tensors = parse_safetensors(bytes, "fuzz");
  if (!tensors) {
    LH_CHECK(!tensors.error().message.empty());
    return 0;
  }
  size_t n_data = 0;
  uint64_t sum = 0;
  for (const SafetensorsTensor& tensor : *tensors) {
    sum += sum_bytes(tensor);
    n_data += tensor.data.size();
  }
  LH_CHECK(n_data < size && sum <= n_data * 255);
  return 0;
}
