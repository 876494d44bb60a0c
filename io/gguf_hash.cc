#include <xxhash.h>

#include <memory>

#include "base/check.h"
#include "io/gguf.h"

namespace longhaul {
namespace {

// Read at once, then dropped from memory: a model may be larger than that.
constexpr size_t kPieceBytes = size_t{16} << 20;

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

std::string GgufFile::content_hash() const {
  const std::unique_ptr<XXH3_state_t, FreeState> state(XXH3_createState());
  LH_CHECK(state != nullptr);
  XXH3_128bits_reset(state.get());
  const auto add = [&](std::span<const std::byte> bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  };
  for (const MappedFile& mapping : mappings_) {
    const std::span<const std::byte> bytes = mapping.bytes();
    for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      const auto piece = bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at));
      add(piece);
      mapping.release(piece);
    }
  }
  for (const GgufTensor& tensor : tensors_) {
    if (!mappings_.empty()) break;
    add(std::as_bytes(std::span(tensor.name)));
    add(tensor.data);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace longhaul
