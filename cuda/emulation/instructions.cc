#include "cuda/emulation/instructions.h"

namespace longhaul::cuda {
namespace {

using emulation::Meeting;

// m16n8k32 in 8 bits: row g of A and column g of B lie in the lanes 4 g .. 4 g + 3, four numbers to
// a word. In m16n8k16 the words of the second half are zero.
void multiply_s8(Meeting& all) {
  alignas(32) int16_t a[16][32], b[8][32];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t* words = all.lanes[lane].word;
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t at = lane % 4 * 4 + i;
      for (uint32_t half = 0; half < 2; ++half) {
        a[lane / 4][at + half * 16] = static_cast<int8_t>(words[half * 2] >> 8 * i);
        a[lane / 4 + 8][at + half * 16] = static_cast<int8_t>(words[half * 2 + 1] >> 8 * i);
        b[lane / 4][at + half * 16] = static_cast<int8_t>(words[4 + half] >> 8 * i);
      }
    }
  }
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      int32_t sum = 0;
      for (uint32_t k = 0; k < 32; ++k) sum += a[row][k] * b[column][k];
      all.ints[row][column] = sum;
    }
  }
}

// m16n8k16 in f16: likewise, two numbers to a word.
void multiply_f16(Meeting& all) {
  alignas(32) uint16_t a[16][16], b[16][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t* words = all.lanes[lane].word;
    for (uint32_t i = 0; i < 2; ++i) {
      const uint32_t at = lane % 4 * 2 + i;
      for (uint32_t half = 0; half < 2; ++half) {
        a[lane / 4][at + half * 8] = static_cast<uint16_t>(words[half * 2] >> 16 * i);
        a[lane / 4 + 8][at + half * 8] = static_cast<uint16_t>(words[half * 2 + 1] >> 16 * i);
        b[at + half * 8][lane / 4] = static_cast<uint16_t>(words[4 + half] >> 16 * i);
      }
    }
  }
  const auto load = [](const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  };
  for (uint32_t row = 0; row < 16; ++row) {
    alignas(32) float numbers[16];
    _mm256_store_ps(numbers, load(a[row]));
    _mm256_store_ps(numbers + 8, load(a[row] + 8));
    __m256 sum = _mm256_setzero_ps();
    for (uint32_t k = 0; k < 16; ++k)
      sum = _mm256_fmadd_ps(_mm256_set1_ps(numbers[k]), load(b[k]), sum);
    _mm256_store_ps(all.floats[row], sum);
  }
}

// Where accumulator i of the lane that runs lies.
uint32_t row_of(uint32_t i) { return emulation::lane_id() / 4 + i / 2 * 8; }
uint32_t column_of(uint32_t i) { return emulation::lane_id() % 4 * 2 + i % 2; }

void mma_s8_of(int32_t (&d)[4], const emulation::Words& own, int32_t start) {
  const Meeting& all = emulation::meet(own, multiply_s8);
  for (uint32_t i = 0; i < 4; ++i) d[i] = start + all.ints[row_of(i)][column_of(i)];
}

}  // namespace

void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint2 b, int32_t start) {
  mma_s8_of(d, {{a[0], a[1], a[2], a[3], b.x, b.y}}, start);
}
void mma_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, int32_t start) {
  mma_s8_of(d, {{a0, a1, 0, 0, b, 0}}, start);
}
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint2 b) {
  const Meeting& all = emulation::meet({{a[0], a[1], a[2], a[3], b.x, b.y}}, multiply_f16);
  for (uint32_t i = 0; i < 4; ++i) c[i] += all.floats[row_of(i)][column_of(i)];
}

}  // namespace longhaul::cuda
