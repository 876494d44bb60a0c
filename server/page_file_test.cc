#include "server/page_file.h"

#include <gtest/gtest.h>

#include <numeric>

#include "server/page_test_data.h"

namespace longhaul {
namespace {

TEST(PageFile, ThereAndBack) {
  const PageKey key = key_of(7);
  const std::vector<std::byte> payload = payload_of(key, 1000);
  const std::vector<std::byte> file = page_bytes({key, 640, payload.size()}, payload);
  ASSERT_EQ(file.size(), kPageFrameBytes + payload.size());
  EXPECT_EQ(read_page_head(file, key, "f")->first, 640U);
  const auto found = read_page(file, key, payload.size(), "f");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(std::equal(found->begin(), found->end(), payload.begin(), payload.end()));
}

TEST(PageFile, AnyOtherByteAnywhereIsNoticed) {
  const PageKey key = key_of(1);
  const std::vector<std::byte> payload = payload_of(key, 100);
  const std::vector<std::byte> file = page_bytes({key, 0, payload.size()}, payload);
  ASSERT_TRUE(read_page(file, key, payload.size(), "f"));
  for (size_t i = 0; i < file.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> damaged = file;
      damaged[i] ^= static_cast<std::byte>(1 << bit);
      const auto found = read_page(damaged, key, payload.size(), "page-file");
      ASSERT_FALSE(found) << i;
      EXPECT_TRUE(found.error().message.starts_with("page-file: ")) << found.error().message;
    }
  }
}

TEST(PageFile, AnyOtherLengthIsNoticed) {
  const PageKey key = key_of(1);
  const std::vector<std::byte> payload = payload_of(key, 100);
  std::vector<std::byte> file = page_bytes({key, 0, payload.size()}, payload);
  for (size_t n = 0; n < file.size(); ++n)
    EXPECT_FALSE(read_page(std::span(file).first(n), key, payload.size(), "f")) << n;
  file.push_back(std::byte{0});
  EXPECT_FALSE(read_page(file, key, payload.size(), "f"));
}

TEST(PageFile, WhatIsWholeButNotWantedIsRefused) {
  const PageKey key = key_of(1);
  const std::vector<std::byte> payload = payload_of(key, 100);
  const std::vector<std::byte> file = page_bytes({key, 0, payload.size()}, payload);
  EXPECT_FALSE(read_page(file, key_of(2), payload.size(), "f"));
  EXPECT_FALSE(read_page(file, key, 99, "f"));
  EXPECT_FALSE(read_page_head(file, key_of(2), "f"));
}

TEST(PageKey, NamesThereAndBack) {
  PageKey key = {};
  EXPECT_TRUE(from_hex(to_hex(key_of(5)), key));
  EXPECT_EQ(key, key_of(5));
  std::string name = to_hex(key_of(5));
  EXPECT_FALSE(from_hex(name + "0", key));
  name[3] = 'A';  // files are named in one way
  EXPECT_FALSE(from_hex(name, key));
}

// Equal up to the first other token, and nothing equal for others, or in another format.
TEST(PageNames, TellBeginningsApart) {
  const std::vector<std::string> keys = {"one", "two"};
  const PageNames names("format", keys);
  std::vector<int32_t> text(5 * kPageTokens + 9);
  std::iota(text.begin(), text.end(), 0);
  const auto whole = names.of(text, 1);
  ASSERT_EQ(whole.size(), 5U);
  EXPECT_EQ(std::set<PageKey>(whole.begin(), whole.end()).size(), 5U);
  std::vector<int32_t> other = text;
  other[3 * kPageTokens] = -1;
  const auto changed = names.of(other, 1);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(whole[i] == changed[i], i < 3) << i;
  // The same tokens behind others are another page.
  std::vector<int32_t> twice(2 * kPageTokens, 4);
  EXPECT_NE(names.of(twice, 1)[0], names.of(twice, 1)[1]);
  EXPECT_TRUE(names.of(std::span(text).first(kPageTokens - 1), 1).empty());
  std::set<PageKey> firsts;
  for (size_t owner = 0; owner < 3; ++owner) firsts.insert(names.of(text, owner)[0]);
  firsts.insert(PageNames("formal", keys).of(text, 1)[0]);
  EXPECT_EQ(firsts.size(), 4U);
  // Whose they are does not depend on the order of the keys.
  const std::vector<std::string> turned = {"two", "one"};
  EXPECT_EQ(PageNames("format", turned).of(text, 2), whole);
}

}  // namespace
}  // namespace longhaul
