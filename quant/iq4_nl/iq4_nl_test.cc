// IQ4_NL: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/iq4_nl/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::iq4_nl {
namespace {

// The plain choice puts the largest value on level -127. Then an element is at most 14 units of
// largest / 127 from a level: 12 in the widest gap (89 to 113), 14 beyond the last level (113 to
// 127). The search is at least as good in squares. Storing the scale as f16 moves level q by q *
// kF16Error units.
TEST(QuantIQ4_NL, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    return largest_size(x) / 127 * (14 + 1.2 * 127 * kF16Error);
  });
}

TEST(QuantIQ4_NL, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen; ++i) x[i] = 0.25f * kLevels[i % 16];
  EXPECT_EQ(roundtrip(kType, x), x);
}

TEST(QuantIQ4_NL, BitPattern) {
  for (size_t i = 0; i < kBlockLen; ++i) {
    for (uint8_t q = 0; q < 16; ++q) {
      Block block = {};  // all others on level 0, which is -127
      block.scale = f32_to_f16(2.0f);
      block.q[i % 16] = static_cast<uint8_t>(i < 16 ? q : q << 4);
      std::vector<float> expected(kBlockLen, -254.0f);
      expected[i] = 2.0f * kLevels[q];
      EXPECT_EQ(decode_one(kType, block), expected) << i;
    }
  }
}

}  // namespace
}  // namespace longhaul::quant::iq4_nl
