#include <xxhash.h>

#include "base/check.h"
#include "io/gguf.h"

namespace longhaul {
namespace {

// Read at once, then dropped from memory: a model may be larger than that.
constexpr size_t kPieceBytes = size_t{16} << 20;

// What is read of a tensor that is larger than all of it.
constexpr size_t kStretches = 16;
constexpr size_t kStretchBytes = size_t{4} << 10;

class Hash128 {
 public:
  Hash128() : state_(XXH3_createState()) {
    LH_CHECK(state_ != nullptr);
    XXH3_128bits_reset(state_);
  }
  ~Hash128() { XXH3_freeState(state_); }
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  void add(std::span<const std::byte> bytes) {
    XXH3_128bits_update(state_, bytes.data(), bytes.size());
  }
  // With its length, so that two texts are not one.
  void add(std::string_view text) {
    const uint64_t size = text.size();
    add(std::as_bytes(std::span(&size, 1)));
    add(std::as_bytes(std::span(text)));
  }
  std::string digits() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_);
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  XXH3_state_t* state_;
};

void add_sample(Hash128& hash, std::span<const std::byte> data) {
  if (data.size() <= kStretches * kStretchBytes) return hash.add(data);
  const size_t last = data.size() - kStretchBytes;
  for (size_t i = 0; i < kStretches; ++i)
    hash.add(data.subspan(i * last / (kStretches - 1), kStretchBytes));
}

}  // namespace

std::string GgufFile::content_hash() const {
  Hash128 hash;
  for (const MappedFile& mapping : mappings_) {
    const std::span<const std::byte> bytes = mapping.bytes();
    for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      const auto piece = bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at));
      hash.add(piece);
      mapping.release(piece);
    }
  }
  for (const GgufTensor& tensor : tensors_) {
    if (!mappings_.empty()) break;
    hash.add(std::as_bytes(std::span(tensor.name)));
    hash.add(tensor.data);
  }
  return hash.digits();
}

std::string GgufFile::weights_hash() const {
  Hash128 hash;
  for (const GgufTensor& tensor : tensors_) {
    hash.add(tensor.name);
    hash.add(fmt::format("{} {}", tensor.type_id, fmt::join(tensor.shape, "x")));
    add_sample(hash, tensor.data);
  }
  const GgufValue* const architecture = find("general.architecture");
  const std::string prefix =
      std::string(architecture == nullptr ? "" : architecture->to_string().value_or("")) + ".";
  for (const auto& [key, value] : metadata_) {
    if (!key.starts_with(prefix)) continue;
    hash.add(key);
    hash.add(describe(value, /*max_items=*/1 << 20, /*max_chars=*/1 << 20));
  }
  return hash.digits();
}

}  // namespace longhaul
