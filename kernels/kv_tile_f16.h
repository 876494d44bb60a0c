// Rounding f32 up to half precision, for bounds that must stay bounds.
#pragma once

#include <cstdint>

#include "quant/half.h"

namespace longhaul {

// The least half >= x. A zero is +0, so that equal numbers have equal bits.
inline uint16_t f16_round_up(float x) {
  uint16_t h = f32_to_f16(x);
  if (f16_to_f32(h) < x) h = static_cast<uint16_t>((h & 0x8000U) != 0 ? h - 1 : h + 1);
  return h == 0x8000U ? uint16_t{0} : h;
}

}  // namespace longhaul
