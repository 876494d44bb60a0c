// Q4_0: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/q4_0/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q4_0 {
namespace {

// The plain choice puts the largest value on level -8, so that a step is largest / 8; a value as
// large of the other sign is clipped from 8 to 7, a whole step. The search is at least as good in
// squares. Storing the scale as f16 moves level q by q * kF16Error steps.
TEST(QuantQ4_0, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    return largest_size(x) / kZero * (1 + 1.2 * kZero * kF16Error);
  });
}

TEST(QuantQ4_0, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen; ++i)
    x[i] = 0.25f * static_cast<float>(static_cast<int>(i % 16) - kZero);
  EXPECT_EQ(roundtrip(kType, x), x);
}

// One element at a time differs from the zero level: its bits must be the ones the format names.
TEST(QuantQ4_0, BitPattern) {
  for (size_t i = 0; i < kBlockLen; ++i) {
    Block block = {};
    block.scale = f32_to_f16(2.0f);
    for (uint8_t& byte : block.q) byte = 0x88;

    block.q[i % 16] = static_cast<uint8_t>(i < 16 ? 0x83 : 0x38);

    std::vector<float> expected(kBlockLen, 0.0f);
    expected[i] = 2.0f * (3 - kZero);
    EXPECT_EQ(decode_one(kType, block), expected) << i;
    Block again;
    quantize(expected.data(), reinterpret_cast<std::byte*>(&again), kBlockLen);
    EXPECT_EQ(decode_one(kType, again), expected) << i;
  }
}

}  // namespace
}  // namespace longhaul::quant::q4_0
