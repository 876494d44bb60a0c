// Q5_1: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/q5_1/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q5_1 {
namespace {

// Half a step of (max - min) / 31, plus what storing scale and offset as f16 moves: 31 * kF16Error
// steps and kF16Error of the offset, which the search may move by a step.
TEST(QuantQ5_1, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    const double step = (double{*high} - *low) / 31;
    return step * (0.5 + 1.1 * 31 * kF16Error) + (std::abs(*low) + step) * kF16Error;
  });
}

TEST(QuantQ5_1, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen; ++i) x[i] = 0.25f * static_cast<float>(i % 32) + 3.0f;
  EXPECT_EQ(roundtrip(kType, x), x);
}

// One element at a time differs from the offset: its bits must be the ones the format names.
TEST(QuantQ5_1, BitPattern) {
  for (size_t i = 0; i < kBlockLen; ++i) {
    Block block = {};
    block.scale = f32_to_f16(2.0f);
    block.offset = f32_to_f16(-1.0f);
    block.q[i % 16] = i < 16 ? 0x0d : 0xd0;
    block.high[i / 8] = static_cast<uint8_t>(1 << i % 8);
    std::vector<float> expected(kBlockLen, -1.0f);
    expected[i] = 2.0f * 29 - 1.0f;
    EXPECT_EQ(decode_one(kType, block), expected) << i;
  }
}

}  // namespace
}  // namespace longhaul::quant::q5_1
