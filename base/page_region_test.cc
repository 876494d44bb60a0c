#include "base/page_region.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "base/aligned_buffer.h"

namespace longhaul {
namespace {

TEST(PageRegion, IsZeroWritableAndAligned) {
  const size_t n_bytes = 3 * kHugePageBytes + 100;
  const PageRegion region = PageRegion::reserve(n_bytes);
  ASSERT_EQ(region.bytes().size(), n_bytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(region.bytes().data()) % kHugePageBytes, 0U);
  for (size_t i = 0; i < n_bytes; i += 4096) {
    EXPECT_EQ(region.bytes()[i], std::byte{0});
    region.bytes()[i] = std::byte{1};
  }
  region.bytes()[n_bytes - 1] = std::byte{2};
}

TEST(PageRegion, MovesItsMemory) {
  PageRegion first = PageRegion::reserve(100);
  first.bytes()[0] = std::byte{7};
  PageRegion second = std::move(first);
  EXPECT_EQ(second.bytes()[0], std::byte{7});
  EXPECT_TRUE(first.bytes().empty());  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  EXPECT_EQ(first.bytes()[0], std::byte{7});
}

TEST(PageRegion, WhatTheSystemRefusesIsEmpty) {
  EXPECT_TRUE(PageRegion::reserve(0).bytes().empty());
  EXPECT_TRUE(PageRegion::reserve(SIZE_MAX).bytes().empty());
  EXPECT_TRUE(PageRegion::reserve(SIZE_MAX / 2).bytes().empty());
}

TEST(AlignedBuffer, LargeOnesStartAtAHugePageAndAreZero) {
  const AlignedBuffer<uint32_t> buffer(2 * kHugePageBytes / sizeof(uint32_t) + 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kHugePageBytes, 0U);
  for (size_t i = 0; i < buffer.size(); i += 1023) EXPECT_EQ(buffer[i], 0U);
}

}  // namespace
}  // namespace longhaul
