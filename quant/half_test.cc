// The 16-bit floats against arithmetic with ldexp, over all 65536 values and over the midpoints
// between neighbours.
#include "quant/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace longhaul {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What the standard says f16 bits mean; `half` is finite.
double f16_meaning(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 0x1f);
  const double fraction = static_cast<double>(half & 0x3ff) / 1024;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return (half & 0x8000) != 0 ? -size : size;
}

TEST(Half, IsReadFromAnyByte) {
  const std::byte bytes[] = {std::byte{0xFF}, std::byte{0x00}, std::byte{0xC2}};
  EXPECT_EQ(read_f16(bytes + 1), -3.0F);
}

TEST(Half, EveryF16IsExactAndComesBack) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float value = f16_to_f32(half);
    if ((h & 0x7c00) != 0x7c00) {
      ASSERT_EQ(value, f16_meaning(h)) << h;
      ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << h;
      ASSERT_EQ(f32_to_f16(value), half);
    } else if ((h & 0x3ff) == 0) {
      ASSERT_EQ(value, (h & 0x8000) != 0 ? -kInfinity : kInfinity);
      ASSERT_EQ(f32_to_f16(value), half);
    } else {
      ASSERT_TRUE(std::isnan(value)) << h;
      ASSERT_EQ(f32_to_f16(value), half | 0x200);  // the same payload, quiet
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t h = 0; h < 0x7c00;
       ++h) {  // each finite f16 and its upper neighbour, 65536 standing for infinity
    const double low = f16_meaning(h);
    const double high = h == 0x7bff ? 65536.0 : f16_meaning(h + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(middle, (low + high) / 2);
    const uint32_t even = h % 2 == 0 ? h : h + 1;
    ASSERT_EQ(f32_to_f16(middle), even) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, kInfinity)), h + 1) << h;
    ASSERT_EQ(f32_to_f16(-middle), 0x8000 | even) << h;
  }
}

TEST(Half, ExtremesOfF16) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::max()), 0xfc00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  // A NaN whose payload lies only in the bits that are cut off must not become an infinity.
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u)), 0x7e00);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xffc00000u)), 0xfe00);
}

TEST(Half, EveryBf16IsExactAndComesBack) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float value = bf16_to_f32(half);
    if ((h & 0x7f80) == 0x7f80 && (h & 0x7f) != 0) {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_EQ(f32_to_bf16(value), half | 0x40);
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(value), h << 16);
      ASSERT_EQ(f32_to_bf16(value), half);
    }
  }
}

TEST(Half, Bf16RoundsToTheNearestAndTiesToEven) {
  for (uint32_t h = 0; h < 0x7f80; ++h) {
    const auto at = [h](uint32_t below) {
      return f32_to_bf16(std::bit_cast<float>(h << 16 | below));
    };
    ASSERT_EQ(at(0x8000), h % 2 == 0 ? h : h + 1);
    ASSERT_EQ(at(0x7fff), h);
    ASSERT_EQ(at(0x8001), h + 1);
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(0x80000000u | h << 16 | 0x8000u)),
              0x8000u | (h % 2 == 0 ? h : h + 1));
  }
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

}  // namespace
}  // namespace longhaul
