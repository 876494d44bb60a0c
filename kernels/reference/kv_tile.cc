#include "kernels/reference/kv_tile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/kv_tile_layout.h"
#include "quant/half.h"

namespace longhaul::reference {
namespace {

void store_f16(std::byte* at, float x) {
  const uint16_t h = f32_to_f16(x);
  std::memcpy(at, &h, sizeof(h));
}

// Quantises 32 numbers to integers in [-127, 127] and returns the f16 scale; NaN and infinity go
// into the scale.
uint16_t quantise(const float* x, int8_t* q) {
  uint32_t amax_bits = 0;  // magnitudes order like their bits, NaN last
  for (size_t i = 0; i < kScaleDims; ++i) {
    amax_bits = std::max(amax_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  }
  const uint16_t scale_bits = f32_to_f16(std::bit_cast<float>(amax_bits) / 127.0F);
  const float scale = f16_to_f32(scale_bits);
  const bool usable = scale > 0.0F && std::isfinite(scale);
  for (size_t i = 0; i < kScaleDims; ++i) {
    const float steps = usable ? std::clamp(x[i] / scale, -127.0F, 127.0F) : 1.0F;
    q[i] = static_cast<int8_t>(std::nearbyint(steps));
  }
  return scale_bits;
}

// index(dim) is the place of an element in bytes; kBias makes the stored integer unsigned.
template <int kBias, class Index>
void write_q8(std::byte* tile, size_t slot, const float* x, size_t head_dim, Index index) {
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    int8_t q[kScaleDims];
    const uint16_t scale = quantise(x + chunk * kScaleDims, q);
    for (size_t i = 0; i < kScaleDims; ++i) {
      tile[index(chunk * kScaleDims + i)] = static_cast<std::byte>(q[i] + kBias);
    }
    std::memcpy(tile + scale_offset(slot, chunk, head_dim), &scale, sizeof(scale));
  }
}

template <int kBias, class Index>
void read_q8(const std::byte* tile, size_t slot, float* x, size_t head_dim, Index index) {
  for (size_t dim = 0; dim < head_dim; ++dim) {
    const auto q = static_cast<int8_t>(std::to_integer<int>(tile[index(dim)]) - kBias);
    x[dim] =
        static_cast<float>(q) * read_f16(tile + scale_offset(slot, dim / kScaleDims, head_dim));
  }
}

}  // namespace

void write_k(KvType type, std::byte* tile, size_t slot, const float* k, size_t head_dim) {
  if (type == KvType::kQ8_0) {
    write_q8<128>(tile, slot, k, head_dim, [=](size_t dim) { return k_q8_index(slot, dim); });
    return;
  }
  for (size_t dim = 0; dim < head_dim; ++dim) store_f16(tile + 2 * k_f16_index(slot, dim), k[dim]);
}

void write_v(KvType type, std::byte* tile, size_t slot, const float* v, size_t head_dim) {
  if (type == KvType::kQ8_0) {
    write_q8<0>(tile, slot, v, head_dim,
                [=](size_t dim) { return v_q8_index(slot, dim, head_dim); });
    return;
  }
  for (size_t dim = 0; dim < head_dim; ++dim) {
    store_f16(tile + 2 * v_f16_index(slot, dim, head_dim), v[dim]);
  }
}

void read_k(KvType type, const std::byte* tile, size_t slot, float* k, size_t head_dim) {
  if (type == KvType::kQ8_0) {
    read_q8<128>(tile, slot, k, head_dim, [=](size_t dim) { return k_q8_index(slot, dim); });
    return;
  }
  for (size_t dim = 0; dim < head_dim; ++dim) k[dim] = read_f16(tile + 2 * k_f16_index(slot, dim));
}

}  // namespace longhaul::reference
