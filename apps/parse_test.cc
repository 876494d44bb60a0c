#include "apps/parse.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace longhaul {
namespace {

TEST(ParseSize, TakesSuffixes) {
  EXPECT_EQ(parse_size("0").value(), 0U);
  EXPECT_EQ(parse_size("4096").value(), 4096U);
  EXPECT_EQ(parse_size("4K").value(), 4096U);
  EXPECT_EQ(parse_size("32k").value(), 32768U);
  EXPECT_EQ(parse_size("1M").value(), 1048576U);
  EXPECT_EQ(parse_size("2G").value(), size_t{2} << 30U);
  EXPECT_EQ(parse_size("18446744073709551615").value(), std::numeric_limits<size_t>::max());
}

TEST(ParseSize, RefusesTheRest) {
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 ", "1.5K", "4KB", "0x10",
                           "18446744073709551616", "18014398509481984K", "17179869184G"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_NE(size.error().message.find(text), std::string::npos) << size.error().message;
  }
}

TEST(ParseReal, TakesFiniteNumbersOnly) {
  EXPECT_EQ(parse_real("0.25").value(), 0.25);
  EXPECT_EQ(parse_real("-3e2").value(), -300.0);
  for (const char* text : {"", "x", "1x", "nan", "inf", "1e999", "0,5"})
    EXPECT_FALSE(parse_real(text)) << text;
}

TEST(ParseIds, SplitsAtCommasAndBlanks) {
  EXPECT_EQ(parse_ids("1,2,3").value(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(parse_ids(" 7 ,\n 8\t9 ").value(), (std::vector<int32_t>{7, 8, 9}));
  EXPECT_TRUE(parse_ids("").value().empty());
  for (const char* text : {"1,-2", "1;2", "a", "2147483648"}) EXPECT_FALSE(parse_ids(text)) << text;
}

TEST(ParseBias, NeedsIdAndNumber) {
  EXPECT_EQ(parse_bias("13=-2.5").value(), (std::pair<int32_t, float>{13, -2.5F}));
  EXPECT_EQ(parse_bias("0=-inf").value().second, -std::numeric_limits<float>::infinity());
  for (const char* text : {"", "13", "13=", "=1", "-1=1", "13=nan", "13=x"})
    EXPECT_FALSE(parse_bias(text)) << text;
}

TEST(SplitList, RefusesEmptyParts) {
  EXPECT_EQ(split_list("a,b").value(), (std::vector<std::string_view>{"a", "b"}));
  for (const char* text : {"", "a,", ",a", "a,,b"}) EXPECT_FALSE(split_list(text)) << text;
}

}  // namespace
}  // namespace longhaul
