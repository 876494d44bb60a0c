// Any bytes must give a GgufFile or an Error. What parses is read through every accessor, and must
// survive being written and read again with the same metadata and tensors.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"

namespace longhaul {
namespace {

// Touches every byte of tensor data, so that AddressSanitizer sees a span that leaves the file.
uint64_t sum_bytes(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    LH_CHECK(file.find_tensor(tensor.name) == &tensor);
    for (const std::byte b : tensor.data) sum += static_cast<uint64_t>(b);
  }
  return sum;
}

void read_every_way(const GgufFile& file, std::string_view key) {
  (void)file.get_u64(key);
  (void)file.get_i64(key);
  (void)file.get_f64(key);
  (void)file.get_bool(key);
  (void)file.get_string(key);
  (void)file.get_u64_array(key);
  (void)file.get_i32_array(key);
  (void)file.get_f32_array(key);
  (void)file.get_bool_array(key);
  (void)file.get_string_array(key);
}

// A wild alignment makes the padding between tensors larger than memory: such files are not written
// again.
constexpr uint64_t kMaxRewriteAlignment = 1 << 16;

void check_rewrite(const GgufFile& file) {
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file.tensors()) {
    LH_CHECK(writer.add_tensor(tensor.name, tensor.type(), tensor.shape, tensor.data).has_value());
  }
  const auto bytes = writer.write_to_memory();
  LH_CHECK(bytes.has_value());
  const auto again = GgufFile::parse(*bytes, "again");
  LH_CHECK(again.has_value());
  LH_CHECK(again->metadata().size() == file.metadata().size());
  LH_CHECK(again->tensors().size() == file.tensors().size());
  LH_CHECK(sum_bytes(*again) == sum_bytes(file));
  for (size_t i = 0; i < file.metadata().size(); ++i) {
    LH_CHECK(describe(again->metadata()[i].second) == describe(file.metadata()[i].second));
  }
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const auto file = GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) {
    LH_CHECK(!file.error().message.empty());
    return 0;
  }
  for (const auto& entry : file->metadata()) read_every_way(*file, entry.first);
  if (file->alignment() <= kMaxRewriteAlignment) check_rewrite(*file);
  return 0;
}
