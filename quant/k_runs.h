// What Q4_K and Q5_K share: 8 runs of 32 elements, each with a 6-bit scale and a 6-bit offset
// packed into 12 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul::quant {

inline constexpr size_t kRuns = 8;
inline constexpr size_t kRunLen = 32;

// Bytes 0-3 hold the scales of runs 0-3 in their bits 0-5, bytes 4-7 the offsets of runs 0-3. Byte
// 8+i holds bits 0-3 of the scale (low half) and of the offset (high half) of run 4+i, whose bits
// 4-5 are bits 6-7 of bytes i and 4+i.
struct RunNumbers {
  uint8_t scale[kRuns];   // 0 to 63
  uint8_t offset[kRuns];  // 0 to 63
};

RunNumbers unpack_runs(const uint8_t packed[12]);
void pack_runs(const RunNumbers& numbers, uint8_t packed[12]);

// A super-block of 256 values as x ~ scale * run.scale * q - offset_scale * run.offset with q in
// [0, max_q].
struct EncodedRuns {
  uint16_t scale;         // f16
  uint16_t offset_scale;  // f16
  RunNumbers numbers;
  uint8_t q[kRuns * kRunLen];
};
EncodedRuns encode_runs(const float* x, int max_q);

// x from q, the other way round.
void decode_runs(uint16_t scale, uint16_t offset_scale, const RunNumbers& numbers, const uint8_t* q,
                 float* out);

// Pairs of runs share 32 bytes: run 2p in the low halves of bytes 32p to 32p+31, run 2p+1 in the
// high halves.
void unpack_run_nibbles(const uint8_t packed[128], uint8_t q[256]);
void pack_run_nibbles(const uint8_t q[256], uint8_t packed[128]);

}  // namespace longhaul::quant
