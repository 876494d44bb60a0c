#include <gtest/gtest.h>

#include "server/api.h"

namespace longhaul {
namespace {

TEST(Routes, ArePathsWithAndWithoutTheVersion) {
  for (const Route& route : routes()) {
    const bool has_argument = route.path.ends_with('/') && route.path != "/";  // which is the page
    const std::string path = std::string(route.path) + (has_argument ? "a%2Fb" : "");
    for (const std::string prefix : {"", "/v1"}) {
      const auto found = find_route(route.method, prefix + path);
      ASSERT_TRUE(found) << path;
      EXPECT_EQ(found->route, &route);
      EXPECT_EQ(found->argument, has_argument ? "a/b" : "");
    }
    EXPECT_EQ(find_route("PUT", path).error().status, 405U);
  }
  for (const char* path : {"", "//", "/v1", "/models/", "/healthy", "/v1/v1/models", "models"})
    EXPECT_EQ(find_route("GET", path).error().status, 404U) << path;
  EXPECT_EQ(find_route("GET", "/models/a%2").value().argument, "a%2");
}

TEST(Keys, AreFoundByAllOfTheirBytes) {
  const std::vector<std::string> keys = {"abc", "abcabc", "x"};
  EXPECT_EQ(find_key(keys, "abc"), 1U);
  EXPECT_EQ(find_key(keys, "abcabc"), 2U);
  EXPECT_EQ(find_key(keys, "x"), 3U);
  for (const char* wrong : {"", "ab", "abd", "abcab", "abcabcabc", "xx", "y"})
    EXPECT_EQ(find_key(keys, wrong), 0U) << wrong;
}

}  // namespace
}  // namespace longhaul
