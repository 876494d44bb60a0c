#include "base/stream_hash.h"

#include <xxhash.h>

#include "base/check.h"

namespace longhaul {

struct StreamHash::State {
  State() : xxh3(XXH3_createState()) { LH_CHECK(xxh3 != nullptr); }
  ~State() { XXH3_freeState(xxh3); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh3;
};

StreamHash::StreamHash() : state_(std::make_unique<State>()) { reset(); }
StreamHash::~StreamHash() = default;
StreamHash::StreamHash(StreamHash&&) noexcept = default;
StreamHash& StreamHash::operator=(StreamHash&&) noexcept = default;

void StreamHash::update(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size());
}

uint64_t StreamHash::digest() const { return XXH3_64bits_digest(state_->xxh3); }

void StreamHash::reset() { XXH3_64bits_reset(state_->xxh3); }

}  // namespace longhaul
