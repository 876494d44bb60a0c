// F32: a copy.
#include "quant/f32/format.h"
#include "quant/half.h"
#include "quant/test_util.h"

namespace longhaul::quant::f32 {
namespace {

TEST(QuantF32, KeepsEveryBit) {
  const auto values = test_values(64, 7);
  EXPECT_EQ(roundtrip(kType, values), values);
}

}  // namespace
}  // namespace longhaul::quant::f32
