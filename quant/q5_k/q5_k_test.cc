// Q5_K: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/k_runs.h"
#include "quant/q5_k/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q5_k {
namespace {

// Per run: half a step of (max - min(0, min)) / 31, plus half a unit of the 6-bit scale times the
// largest q, plus half a unit of the 6-bit offset. A unit is at most the largest of the block over
// 63; the search can make a run's scale larger than the plain one by at most a tenth, and its
// offset by a step. f16 adds kF16Error of each.
TEST(QuantQ5_K, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    double largest_step = 0;
    double largest_offset = 0;
    for (size_t run = 0; run < kBlockLen; run += kRunLen) {
      const auto [low, high] = std::minmax_element(x.begin() + run, x.begin() + run + kRunLen);
      const double start = std::min(0.0f, *low);
      largest_step = std::max(largest_step, (*high - start) / 31);
      largest_offset = std::max(largest_offset, -start);
    }
    const double scale_unit = 1.1 * largest_step / 63;
    const double offset_unit = (largest_offset + largest_step) / 63;
    return (0.5 * largest_step + 0.5 * 31 * scale_unit + 0.5 * offset_unit) * (1 + 2 * kF16Error);
  });
}

TEST(QuantQ5_K, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen;
       ++i) {  // run r has scale (r + 56) / 64 and offset (r + 56) / 32
    const auto run = static_cast<float>(i / kRunLen + 56);
    x[i] = run / 64 * static_cast<float>(i % 32) - run / 32;
  }
  EXPECT_EQ(roundtrip(kType, x), x);
}

// One element at a time is not 0: its bits must be the ones the format names.
TEST(QuantQ5_K, BitPattern) {
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
    block.high[i % 32] = static_cast<uint8_t>(1 << run);
    const auto found = decode_one(kType, block);
    for (size_t j = 0; j < kBlockLen; ++j) {
      const float q = j == i ? 27.0f : 0.0f;
      const float expected = 2.0f * numbers.scale[j / 32] * q - 0.5f * numbers.offset[j / 32];
      ASSERT_EQ(found[j], expected) << i << " " << j;
    }
  }
}

}  // namespace
}  // namespace longhaul::quant::q5_k
