// F16: rounding and bits; quant/half_test.cc covers all values.
#include "quant/f16/format.h"
#include "quant/half.h"
#include "quant/test_util.h"

namespace longhaul::quant::f16 {
namespace {

TEST(QuantF16, RoundsToHalves) {
  expect_roundtrip_within(kType,
                          [](std::span<const float> x) { return kF16Error * std::abs(x[0]); });
}

TEST(QuantF16, BitPattern) {
  EXPECT_EQ(decode_one(kType, Block{0x3c00}), std::vector<float>{1.0f});
  EXPECT_EQ(decode_one(kType, Block{0xc100}), std::vector<float>{-2.5f});
  EXPECT_EQ(roundtrip(kType, std::vector<float>{1.0f + 1.0f / 2048, 1.0f + 3.0f / 2048}),
            (std::vector<float>{1.0f, 1.0f + 2.0f / 1024}));
}

}  // namespace
}  // namespace longhaul::quant::f16
