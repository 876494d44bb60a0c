// Q4_K: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/k_runs.h"
#include "quant/q4_k/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q4_k {
namespace {

// Per run: half a step of (max - min(0, min)) / 15, plus half a unit of the 6-bit scale times the
// largest q, plus half a unit of the 6-bit offset. A unit is at most the largest of the block over
// 63; the search can make a run's scale larger than the plain one by at most a tenth, and its
// offset by a step. f16 adds kF16Error of each.
TEST(QuantQ4_K, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    double largest_step = 0;
    double largest_offset = 0;
    for (size_t run = 0; run < kBlockLen; run += kRunLen) {
      const auto [low, high] = std::minmax_element(x.begin() + run, x.begin() + run + kRunLen);
      const double start = std::min(0.0f, *low);
      largest_step = std::max(largest_step, (*high - start) / 15);
      largest_offset = std::max(largest_offset, -start);
    }
    const double scale_unit = 1.1 * largest_step / 63;
    const double offset_unit = (largest_offset + largest_step) / 63;
    return (0.5 * largest_step + 0.5 * 15 * scale_unit + 0.5 * offset_unit) * (1 + 2 * kF16Error);
  });
}

TEST(QuantQ4_K, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen;
       ++i) {  // run r has scale (r + 56) / 64 and offset (r + 56) / 32
    const auto run = static_cast<float>(i / kRunLen + 56);
    x[i] = run / 64 * static_cast<float>(i % 16) - run / 32;
  }
  EXPECT_EQ(roundtrip(kType, x), x);
}

// One element at a time is not 0: its bits must be the ones the format names.
TEST(QuantQ4_K, BitPattern) {
  RunNumbers numbers;
  for (size_t r = 0; r < kRuns; ++r) {
    numbers.scale[r] = static_cast<uint8_t>(7 * r + 10);
    numbers.offset[r] = static_cast<uint8_t>(63 - 9 * r);
  }
  for (size_t i = 0; i < kBlockLen; ++i) {
    const size_t run = i / 32;
    Block block = {};
    block.scale = f32_to_f16(2.0f);
    block.offset_scale = f32_to_f16(0.5f);
    pack_runs(numbers, block.runs);
    block.q[32 * (run / 2) + i % 32] = run % 2 == 0 ? 0x0b : 0xb0;

    const auto found = decode_one(kType, block);
    for (size_t j = 0; j < kBlockLen; ++j) {
      const float q = j == i ? 11.0f : 0.0f;
      const float expected = 2.0f * numbers.scale[j / 32] * q - 0.5f * numbers.offset[j / 32];
      ASSERT_EQ(found[j], expected) << i << " " << j;
    }
  }
}

// The packing of the 6-bit numbers: each alone, in the bits the format names.
TEST(QuantQ4_K, RunNumbersBitPattern) {
  uint8_t packed[12] = {};
  packed[1] = 0x2a;   // scale 1 = 42
  packed[6] = 0x15;   // offset 2 = 21
  packed[3] = 0x80;   // bits 4-5 of scale 7 = 2
  packed[11] = 0x59;  // low bits of scale 7 = 9, of offset 7 = 5
  packed[7] = 0xc0;   // bits 4-5 of offset 7 = 3
  const RunNumbers numbers = unpack_runs(packed);
  const uint8_t scales[8] = {0, 42, 0, 0, 0, 0, 0, 2 * 16 + 9};
  const uint8_t offsets[8] = {0, 0, 21, 0, 0, 0, 0, 3 * 16 + 5};
  EXPECT_TRUE(std::equal(scales, scales + 8, numbers.scale));
  EXPECT_TRUE(std::equal(offsets, offsets + 8, numbers.offset));
  uint8_t again[12];
  pack_runs(numbers, again);
  EXPECT_TRUE(std::equal(packed, packed + 12, again));
}

}  // namespace
}  // namespace longhaul::quant::q4_k
