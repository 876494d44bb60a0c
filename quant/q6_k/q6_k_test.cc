// Q6_K: bounds, exact levels, the place of each bit.
#include "quant/half.h"
#include "quant/q6_k/format.h"
#include "quant/test_util.h"

namespace longhaul::quant::q6_k {
namespace {

constexpr size_t kRunLen = 16;

// Per run the plain choice has a step of largest / 32 and clips a value of the other sign by a
// whole step; the search is at least as good in squares. The 8-bit scale of a run adds half a unit
// times the largest q; a unit is at most the largest scale of the block over 127, which the search
// makes larger by at most a tenth.
TEST(QuantQ6_K, RoundTrip) {
  expect_roundtrip_within(kType, [](std::span<const float> x) {
    const double step = largest_size(x) / kZero;
    return step * (1 + 0.5 * kZero * 1.1 / 127) * (1 + 2 * kZero * kF16Error);
  });
}

TEST(QuantQ6_K, LevelsAreExact) {
  std::vector<float> x(kBlockLen);
  for (size_t i = 0; i < kBlockLen;
       ++i) {  // run r uses the levels -32 to 31 with scale (r + 112) / 64
    const auto run = static_cast<float>(i / kRunLen + 112);
    const int q = i % kRunLen == 0 ? -32 : static_cast<int>(i * 37 % 64) - 32;
    x[i] = run / 64 * static_cast<float>(q);
  }
  EXPECT_EQ(roundtrip(kType, x), x);
}

// One element at a time is not at the level 0: its bits must be the ones the format names.
TEST(QuantQ6_K, BitPattern) {
  for (size_t i = 0; i < kBlockLen; ++i) {
    Block block = {};
    block.scale = f32_to_f16(0.5f);
    for (size_t r = 0; r < 16; ++r) block.run_scale[r] = static_cast<int8_t>(3 * r) - 20;
    for (uint8_t& byte : block.high) byte = 0xaa;  // q = 32 everywhere
    const size_t half = i / 128;
    const size_t quarter = i % 128 / 32;
    block.low[64 * half + 32 * (quarter % 2) + i % 32] = quarter < 2 ? 0x07 : 0x70;
    uint8_t& high = block.high[32 * half + i % 32];
    high = static_cast<uint8_t>(high ^ 3 << 2 * quarter);  // 2 becomes 1
    std::vector<float> expected(kBlockLen, 0.0f);
    expected[i] = 0.5f * static_cast<float>(3 * static_cast<int>(i / 16) - 20) * (0x17 - 32);
    EXPECT_EQ(decode_one(kType, block), expected) << i;
  }
}

}  // namespace
}  // namespace longhaul::quant::q6_k
