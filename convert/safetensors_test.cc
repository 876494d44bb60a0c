#include "convert/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "convert/checkpoint.h"
#include "convert/test_bytes.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

using Shape = std::vector<uint64_t>;

// The message of the error, or "" if there is none.
std::string refusal(const std::string& bytes) {
  const auto tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "x.safetensors");
  return tensors ? "" : tensors.error().message;
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const std::string bytes = safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},
          "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},
          "a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
          "none":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},
          "one":{"dtype":"I64","shape":[],"data_offsets":[12,20]}})",
      "abcdefghijklmnopqrst");
  const auto tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "x");
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 4u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].dtype, "BF16");
  EXPECT_EQ((*tensors)[0].shape, (Shape{1, 2}));
  EXPECT_EQ((*tensors)[1].name, "none");
  EXPECT_EQ((*tensors)[2].name, "b");
  EXPECT_EQ(std::memcmp((*tensors)[2].data.data(), "efghijkl", 8), 0);
  EXPECT_EQ((*tensors)[3].data.size(), 8u);
}

struct Case {
  const char* what;
  const char* header;
  std::vector<std::string> named;  // in the message
};

// Each with eight bytes of data.
const Case kBroken[] = {
    {"overlap",
     R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
     {"\"b\"", "offset 5", "found 4"}},
    {"gap",
     R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
     {"\"b\"", "offset 3", "found 4"}},
    {"gap before the first",
     R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}})",
     {"\"a\"", "offset 0"}},
    {"bytes behind the last",
     R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}})",
     {"7 bytes", "found 8"}},
    {"cut",
     R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})",
     {"\"a\"", "8 bytes", "[0,12]"}},
    {"backwards", R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})", {"\"a\"", "[8,0]"}},
    {"lying shape",
     R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
     {"\"a\"", "12 bytes", "found 8"}},
    {"shape beyond 64 bits",
     R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})",
     {"\"a\"", "64 bits"}},
    {"negative extent",
     R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
     {"\"a\"", "shape", "[-2]"}},
    {"unknown type",
     R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})",
     {"\"a\"", "dtype", "F33"}},
    {"a name twice",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
     {"'a'", "twice"}},
    {"a further field",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})",
     {"\"a\"", "dtype, shape"}},
    {"one offset",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})",
     {"\"a\"", "data_offsets"}},
    {"a list", "[1]", {"object", "[1]"}},
    {"no JSON", "{\"a\":", {"JSON"}},
    {"notes that are no texts", R"({"__metadata__":{"a":1}})", {"__metadata__"}},
};

TEST(Safetensors, WhatIsBrokenIsNamed) {
  for (const Case& broken : kBroken) {
    const std::string message = refusal(safetensors_bytes(broken.header, "12345678"));
    EXPECT_TRUE(message.starts_with("x.safetensors")) << broken.what << ": " << message;
    for (const std::string& part : broken.named)
      EXPECT_NE(message.find(part), std::string::npos) << broken.what << ": " << message;
  }
}

TEST(Safetensors, HeadersThatLeaveTheFileAreRefusedUnread) {
  const std::string whole =
      safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  ASSERT_EQ(refusal(whole), "");
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(refusal(whole.substr(0, n)), "") << n;
  std::string huge = whole;
  for (const uint64_t length : {~uint64_t{0}, uint64_t{1} << 40, whole.size() - 7}) {
    std::memcpy(huge.data(), &length, sizeof(length));
    EXPECT_NE(refusal(huge).find(std::to_string(length)), std::string::npos) << length;
  }
}

TEST(Safetensors, DeepNestsAreRefused) {
  EXPECT_NE(refusal(safetensors_bytes(std::string(100000, '['), "")).find("levels"),
            std::string::npos);
}

// A folder with two shards, `a` in the first and `b` in the second, and an index.
void write_shards(const TestDir& dir, const std::string& index) {
  write_text(dir.file("1.safetensors"),
             safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "1234"));
  write_text(dir.file("2.safetensors"),
             safetensors_bytes(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "5678"));
  write_text(dir.file("model.safetensors.index.json"), index);
}

TEST(CheckpointFiles, ShardsAreReadByTheirIndex) {
  const TestDir dir;
  write_shards(dir, R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  const auto checkpoint = Checkpoint::open(dir.file(""));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  ASSERT_NE(checkpoint->find("b"), nullptr);
  EXPECT_EQ(checkpoint->path_of(*checkpoint->find("b")), dir.file("2.safetensors"));
  EXPECT_EQ(checkpoint->find("c"), nullptr);
}

TEST(CheckpointFiles, IndexesThatLieAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"weight_map":{"a":"../1.safetensors"}})", "../1.safetensors"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "/etc/passwd"},
      {R"({"weight_map":{"a":".."}})", "file in this folder"},
      {R"({"weight_map":{"a":7}})", "found 7"},
      {R"({"weight_map":{"a":"3.safetensors"}})", "3.safetensors"},
      {R"({"weight_map":{"b":"1.safetensors"}})", "nowhere"},
      {R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors"}})", "expected in 2.safetensors"},
      {R"({"weight_map":{}})", "weight_map"},
  };
  for (const auto& [index, named] : cases) {
    const TestDir dir;
    write_shards(dir, index);
    const auto checkpoint = Checkpoint::open(dir.file(""));
    ASSERT_FALSE(checkpoint) << index;
    EXPECT_NE(checkpoint.error().message.find(named), std::string::npos)
        << checkpoint.error().message;
  }
}

TEST(CheckpointFiles, ATensorInTwoShardsIsRefused) {
  const TestDir dir;
  write_shards(dir, R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  std::filesystem::copy_file(dir.file("1.safetensors"), dir.file("2.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  const auto checkpoint = Checkpoint::open(dir.file(""));
  ASSERT_FALSE(checkpoint);
  EXPECT_NE(checkpoint.error().message.find("\"a\": expected once"), std::string::npos)
      << checkpoint.error().message;
}

TEST(CheckpointFiles, AnEmptyFolderNamesBothFiles) {
  const TestDir dir;
  const auto checkpoint = Checkpoint::open(dir.file(""));
  ASSERT_FALSE(checkpoint);
  EXPECT_NE(checkpoint.error().message.find("model.safetensors.index.json"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
