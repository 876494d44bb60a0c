// BF16: rounding and bits; quant/half_test.cc covers all values.
#include "quant/bf16/format.h"
#include "quant/half.h"
#include "quant/test_util.h"

namespace longhaul::quant::bf16 {
namespace {

TEST(QuantBf16, RoundsToEightBits) {
  expect_roundtrip_within(kType, [](std::span<const float> x) { return std::abs(x[0]) / 256; });
}

TEST(QuantBf16, BitPattern) {
  EXPECT_EQ(decode_one(kType, Block{0x3f80}), std::vector<float>{1.0f});
  EXPECT_EQ(decode_one(kType, Block{0xc020}), std::vector<float>{-2.5f});
}

}  // namespace
}  // namespace longhaul::quant::bf16
