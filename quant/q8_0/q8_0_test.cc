// Q8_0: bounds, a block by hand, the place of each byte.
#include "quant/half.h"
#include "quant/q8_0/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q8_0 {
namespace {

// Half a step per element, the step being the stored scale. (Rounding the scale down may clip the
// largest value by 127 * kF16Error = 0.06 steps, which is less.)
TEST(QuantQ8_0, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    return 0.5 * largest_size(x) / 127 * (1 + kF16Error);
  });
}

TEST(QuantQ8_0, EveryElementIsWithinHalfAStep) {
  const auto values = test_values(70, kBlockLen);
  const auto back = roundtrip(kType, values);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto block = std::span(values).subspan(i / kBlockLen * kBlockLen, kBlockLen);
    EXPECT_LE(std::abs(back[i] - values[i]), 0.5 * largest_size(block) / 127 * (1 + kF16Error));
  }
}

TEST(QuantQ8_0, HandComputedBlock) {
  std::vector<float> x(kBlockLen, 0.0f);
  x[0] = 127;
  x[1] = -127;
  x[2] = 0.4f;
  x[3] = 0.6f;
  x[31] = -63.7f;
  Block block;
  quantize(x.data(), reinterpret_cast<std::byte*>(&block), kBlockLen);
  EXPECT_EQ(block.scale, 0x3c00);
  EXPECT_EQ(block.q[0], 127);
  EXPECT_EQ(block.q[1], -127);
  EXPECT_EQ(block.q[2], 0);
  EXPECT_EQ(block.q[3], 1);
  EXPECT_EQ(block.q[31], -64);
}

TEST(QuantQ8_0, BitPattern) {
  Block block = {f32_to_f16(0.5f), {}};
  for (int i = 0; i < 32; ++i) block.q[i] = static_cast<int8_t>(i * 8 - 128);
  const auto values = decode_one(kType, block);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[static_cast<size_t>(i)], static_cast<float>(i * 4 - 64));
}

}  // namespace
}  // namespace longhaul::quant::q8_0
