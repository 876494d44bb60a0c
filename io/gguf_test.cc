// Reading well-formed and broken GGUF bytes built by hand: each check has a file that fails it.
#include "io/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "io/gguf_test_bytes.h"

namespace longhaul {
namespace {

// The error of parsing `built`, or "" if it parses.
std::string error_of(const GgufBytes& built) {
  const auto file = GgufFile::parse(built.bytes, "m.gguf");
  return file ? "" : file.error().message;
}

void expect_error(const GgufBytes& built, std::string_view part) {
  const std::string message = error_of(built);
  EXPECT_NE(message.find(part), std::string::npos)
      << "expected: " << part << "\nfound: " << message;
  EXPECT_EQ(message.rfind("m.gguf: ", 0), 0u) << message;
}

// A file with one key of each scalar type, a string and some arrays, and two tensors.
GgufBytes full_file(uint32_t version = 3) {
  GgufBytes b;
  b.header(2, 16, version);
  b.key("u8", GgufType::kU8).put<uint8_t>(200);
  b.key("i8", GgufType::kI8).put<int8_t>(-100);
  b.key("u16", GgufType::kU16).put<uint16_t>(60000);
  b.key("i16", GgufType::kI16).put<int16_t>(-30000);
  b.key("u32", GgufType::kU32).put<uint32_t>(4000000000u);
  b.key("i32", GgufType::kI32).put<int32_t>(-2000000000);
  b.key("f32", GgufType::kF32).put<float>(0.1f);
  b.key("bool", GgufType::kBool).put<uint8_t>(1);
  b.key("string", GgufType::kString).string("abc");
  b.key("u64", GgufType::kU64).put<uint64_t>(std::numeric_limits<uint64_t>::max());
  b.key("i64", GgufType::kI64).put<int64_t>(std::numeric_limits<int64_t>::min());
  b.key("f64", GgufType::kF64).put<double>(1e300);
  b.key("strings", GgufType::kArray)
      .put<uint32_t>(8)
      .put<uint64_t>(3)
      .string("a")
      .string("")
      .string("ccc");
  b.key("i16s", GgufType::kArray)
      .put<uint32_t>(3)
      .put<uint64_t>(2)
      .put<int16_t>(7)
      .put<int16_t>(-7);
  b.key("f32s", GgufType::kArray)
      .put<uint32_t>(6)
      .put<uint64_t>(2)
      .put<float>(0.5f)
      .put<float>(-1.f);
  b.key("bools", GgufType::kArray)
      .put<uint32_t>(7)
      .put<uint64_t>(2)
      .put<uint8_t>(1)
      .put<uint8_t>(0);
  b.tensor("a", {3}, 0, 0).tensor("b", {32, 2}, 8, 32);
  b.pad().data(12, 1).pad().data(68, 2);
  return b;
}

GgufBytes one_tensor(const std::vector<uint64_t>& shape, uint32_t type_id, uint64_t offset = 0) {
  GgufBytes b;
  b.header(1, 0).tensor("t", shape, type_id, offset).pad().data(64);
  return b;
}

TEST(Gguf, ReadsEveryTypeInBothVersions) {
  for (const uint32_t version : {2u, 3u}) {
    const GgufBytes built = full_file(version);
    const auto file = GgufFile::parse(built.bytes, "m.gguf");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->version(), version);
    EXPECT_EQ(file->alignment(), 32u);
    EXPECT_EQ(file->n_parts(), 1u);
    EXPECT_EQ(file->metadata().size(), 16u);
    EXPECT_EQ(file->metadata()[4].first, "u32");
    EXPECT_EQ(file->metadata()[4].second.type(), GgufType::kU32);
    EXPECT_EQ(file->get_u64("u8").value(), 200u);
    EXPECT_EQ(file->get_i64("i8").value(), -100);
    EXPECT_EQ(file->get_u64("u16").value(), 60000u);
    EXPECT_EQ(file->get_i64("i16").value(), -30000);
    EXPECT_EQ(file->get_u64("u32").value(), 4000000000u);
    EXPECT_EQ(file->get_i64("i32").value(), -2000000000);
    EXPECT_EQ(file->get_f64("f32").value(), static_cast<double>(0.1f));
    EXPECT_EQ(file->get_bool("bool").value(), true);
    EXPECT_EQ(file->get_string("string").value(), "abc");
    EXPECT_EQ(file->get_u64("u64").value(), std::numeric_limits<uint64_t>::max());
    EXPECT_EQ(file->get_i64("i64").value(), std::numeric_limits<int64_t>::min());
    EXPECT_EQ(file->get_f64("f64").value(), 1e300);
    EXPECT_EQ(file->get_string_array("strings").value(),
              (std::vector<std::string_view>{"a", "", "ccc"}));
    EXPECT_EQ(file->get_i32_array("i16s").value(), (std::vector<int32_t>{7, -7}));
    EXPECT_EQ(file->get_f32_array("f32s").value(), (std::vector<float>{0.5f, -1.f}));
    EXPECT_EQ(file->get_bool_array("bools").value(), (std::vector<bool>{true, false}));
  }
}

TEST(Gguf, BindsTensorsToTheirBytes) {
  const GgufBytes built = full_file();
  const auto file = GgufFile::parse(built.bytes, "m.gguf");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 2u);
  const GgufTensor* a = file->find_tensor("a");
  const GgufTensor* b = file->find_tensor("b");
  ASSERT_TRUE(a != nullptr && b != nullptr);
  EXPECT_EQ(file->find_tensor("c"), nullptr);
  EXPECT_EQ(a->type(), TensorType::kF32);
  EXPECT_EQ(b->type(), TensorType::kQ8_0);
  EXPECT_EQ(b->shape, (std::vector<uint64_t>{32, 2}));
  EXPECT_EQ(b->n_elements(), 64u);
  EXPECT_EQ(a->data.size(), 12u);
  EXPECT_EQ(b->data.size(), 68u);
  EXPECT_EQ(a->data[0], std::byte{1});
  EXPECT_EQ(b->data[0], std::byte{2});
  EXPECT_EQ(b->data.data() + b->data.size(), built.bytes.data() + built.bytes.size());
}

TEST(Gguf, IntegersOfAnyWidthConvertWithARangeCheck) {
  const GgufBytes built = full_file();
  const auto file = GgufFile::parse(built.bytes, "m.gguf").value();
  EXPECT_EQ(file.get_i64("u32").value(), 4000000000);
  EXPECT_EQ(file.get_f64("u32").value(), 4e9);
  EXPECT_EQ(file.get_u64("i8").error().message,
            "m.gguf: key \"i8\": expected an unsigned integer, found i8 -100");
  EXPECT_FALSE(file.get_i64("u64"));
  EXPECT_FALSE(file.get_f64("u64"));  // a double cannot hold 2^64 - 1
  EXPECT_FALSE(file.get_u64("f32"));
  EXPECT_FALSE(file.get_u64("bool"));
  EXPECT_FALSE(file.get_bool("u8"));
  EXPECT_FALSE(file.get_u64_array("i16s"));
  EXPECT_EQ(file.get_f32_array("i16s").value(), (std::vector<float>{7, -7}));
  EXPECT_FALSE(file.get_i32_array("f32s"));
  EXPECT_FALSE(file.get_u64_array("bools"));
  EXPECT_FALSE(file.get_u64_array("u32"));
  EXPECT_FALSE(file.get_string_array("i16s"));
}

TEST(Gguf, MissingAndOptionalKeys) {
  const GgufBytes built = full_file();
  const auto file = GgufFile::parse(built.bytes, "m.gguf").value();
  EXPECT_EQ(file.get_u64("none").error().message,
            "m.gguf: key \"none\" is missing; expected an unsigned integer");
  EXPECT_EQ(file.get_u64_or("none", 5).value(), 5u);
  EXPECT_EQ(file.get_u64_or("u8", 5).value(), 200u);
  EXPECT_EQ(file.get_string_or("none", "x").value(), "x");
  EXPECT_EQ(file.get_bool_or("none", true).value(), true);
  EXPECT_EQ(file.get_bool_or("bool", false).value(), true);
  EXPECT_EQ(file.get_f64_or("none", 0.5).value(), 0.5);
  EXPECT_EQ(file.get_i64_or("none", -5).value(), -5);
  EXPECT_FALSE(file.get_u64_or("string", 5));
  EXPECT_FALSE(file.get_bool_or("u8", true));
}

TEST(Gguf, RefusesBrokenHeaders) {
  expect_error(GgufBytes().text("GGU"), "ends in the magic number");
  expect_error(GgufBytes().text("GGML").data(20),
               "expected it to begin with \"GGUF\", found \"GGML\"");
  expect_error(GgufBytes().header(0, 0, 1), "expected GGUF version 2 or 3, found 1");
  expect_error(GgufBytes().header(0, 0, 4), "expected GGUF version 2 or 3, found 4");
  expect_error(GgufBytes().header(0, 0, 0), "found 0");
  expect_error(GgufBytes().header(0, 0, 0x03000000), "other byte order");
  expect_error(GgufBytes().header(uint64_t{1} << 60, 0), "tensors need at least");
  expect_error(GgufBytes().header(0, std::numeric_limits<uint64_t>::max()), "keys need at least");
  EXPECT_EQ(error_of(GgufBytes().header(0, 0)), "");
}

TEST(Gguf, RefusesBrokenKeys) {
  const auto one = [] { return GgufBytes().header(0, 1); };
  expect_error(one().key("", GgufType::kU8).put<uint8_t>(0).data(9),
               "expected a name of 1 to 65535 bytes, found 0");
  const std::string longest(65535, 'k');
  EXPECT_EQ(error_of(one().key(longest, GgufType::kU8).put<uint8_t>(0)), "");
  expect_error(one().key(longest + "k", GgufType::kU8).put<uint8_t>(0), "found 65536");
  expect_error(one().string("k").put<uint32_t>(13).data(9),
               "expected a value type from 0 to 12, found 13");
  expect_error(one().key("k", GgufType::kBool).put<uint8_t>(2),
               "key \"k\": expected a bool of 0 or 1, found 2");
  expect_error(one().put<uint64_t>(uint64_t{1} << 63).data(9), "the name of key 0");
  expect_error(one().key("k", GgufType::kString).put<uint64_t>(100).text("abc"),
               "expected 100 more bytes, found 3");
  GgufBytes twice;
  twice.header(0, 2)
      .key("k", GgufType::kU8)
      .put<uint8_t>(0)
      .key("k", GgufType::kU8)
      .put<uint8_t>(0);
  expect_error(twice, "key \"k\" appears twice");
}

TEST(Gguf, RefusesBrokenArrays) {
  const auto array = [](uint32_t element, uint64_t count) {
    return GgufBytes().header(0, 1).key("k", GgufType::kArray).put(element).put(count);
  };
  expect_error(array(9, 1).data(20), "found an array of arrays");
  expect_error(array(99, 1).data(20), "expected a value type from 0 to 12, found 99");
  expect_error(array(0, 4).data(3), "4 elements of key \"k\" need at least 1 bytes each");
  expect_error(array(12, uint64_t{1} << 61).data(8),
               "elements of key \"k\" need at least 8 bytes each");
  expect_error(array(8, 2).data(15), "elements of key \"k\" need at least 8 bytes each");
  expect_error(array(8, 1).put<uint64_t>(5).text("abcd"), "expected 5 more bytes, found 4");
  expect_error(array(7, 1).put<uint8_t>(3), "found 3");
  EXPECT_EQ(error_of(array(0, 0)), "");
}

TEST(Gguf, ChecksTheAlignment) {
  const auto aligned = [](GgufType type, auto value, size_t pad) {
    GgufBytes b;
    b.header(2, 1).key("general.alignment", type).put(value);
    return b.tensor("a", {1}, 0, 0).tensor("b", {1}, 0, pad).pad(pad).data(4).pad(pad).data(4);
  };
  EXPECT_EQ(error_of(aligned(GgufType::kU32, uint32_t{64}, 64)), "");
  EXPECT_EQ(error_of(aligned(GgufType::kU64, uint64_t{8}, 8)), "");
  expect_error(aligned(GgufType::kU32, uint32_t{64}, 32),
               "expected its data at offset 64, found 32");
  for (const uint32_t wrong : {0u, 1u, 4u, 24u, 33u, 0xffffffffu}) {
    expect_error(aligned(GgufType::kU32, wrong, 32), "expected a power of two from 8 to 2^31");
  }
  expect_error(aligned(GgufType::kU64, uint64_t{1} << 63, 32), "expected a power of two");
  expect_error(aligned(GgufType::kF32, 32.0f, 32), "expected a power of two");
  expect_error(aligned(GgufType::kU32, uint32_t{1} << 31, 32),
               "expected its data at offset 2147483648");
}

TEST(Gguf, RefusesBrokenTensors) {
  constexpr uint64_t kHuge = uint64_t{1} << 33;
  EXPECT_EQ(error_of(one_tensor({16}, 0)), "");
  expect_error(one_tensor({}, 0), "expected 1 to 4 dimensions, found 0");
  expect_error(one_tensor({1, 1, 1, 1, 1}, 0), "expected 1 to 4 dimensions, found 5");
  expect_error(one_tensor({2, 0}, 0), "expected extents of at least 1, found [2, 0]");
  expect_error(one_tensor({kHuge, kHuge}, 0), "overflows 64 bits");
  expect_error(one_tensor({uint64_t{1} << 62}, 0), "overflow 64 bits");
  expect_error(one_tensor({(uint64_t{1} << 62) - 1}, 0), "end beyond 2^64");
  expect_error(one_tensor({33}, 8),
               "expected rows of a multiple of 32 elements for type Q8_0, found 33");
  expect_error(one_tensor({16, 2}, 8), "found 16");
  expect_error(one_tensor({16}, 4),
               "tensor \"t\": unknown tensor type 4; supported: 0 F32, 1 F16, 2 Q4_0");
  expect_error(one_tensor({16}, 0, 32), "expected its data at offset 0, found 32");
  expect_error(one_tensor({20}, 0), "need 144 bytes, found 128: 16 bytes are missing");
  const std::string longest(63, 'n');
  EXPECT_EQ(error_of(GgufBytes().header(1, 0).tensor(longest, {1}, 0, 0).pad().data(4)), "");
  expect_error(GgufBytes().header(1, 0).tensor(longest + "n", {1}, 0, 0).pad().data(4), "found 64");
  expect_error(GgufBytes().header(1, 0).tensor("", {1}, 0, 0).pad().data(4), "found 0");
  expect_error(
      GgufBytes().header(2, 0).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 32).pad().data(36),
      "tensor \"t\" appears twice");
  expect_error(
      GgufBytes().header(2, 0).tensor("t", {1}, 0, 0).tensor("u", {1}, 0, 4).pad().data(36),
      "tensor \"u\": expected its data at offset 32, found 4");
}

TEST(Gguf, EveryTruncationIsAnError) {
  const GgufBytes whole = full_file();
  for (size_t n = 0; n < whole.bytes.size(); ++n) {
    // A copy of exactly n bytes, so that AddressSanitizer sees every read past its end.
    const std::vector<std::byte> cut(whole.bytes.begin(),
                                     whole.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_FALSE(GgufFile::parse(cut, "m.gguf")) << "cut at byte " << n;
  }
}

TEST(Gguf, EveryFlippedByteParsesOrFails) {
  const GgufBytes whole = full_file();
  for (size_t i = 0; i < whole.bytes.size(); ++i) {
    for (const uint8_t value : std::initializer_list<uint8_t>{0x00, 0x01, 0x7f, 0x80, 0xff}) {
      auto changed = whole.bytes;
      changed[i] = std::byte{value};
      const auto file = GgufFile::parse(changed, "m.gguf");
      EXPECT_TRUE(file || !file.error().message.empty());
    }
  }
}

TEST(GgufValue, DescribesInOneLine) {
  EXPECT_EQ(describe(GgufValue(GgufType::kI32, int64_t{-3})), "i32 -3");
  EXPECT_EQ(describe(GgufValue(GgufType::kF32, double{1e-6f})), "f32 1e-06");
  EXPECT_EQ(describe(GgufValue(GgufType::kF64, 0.1)), "f64 0.1");
  EXPECT_EQ(describe(GgufValue(GgufType::kString, std::string_view("a\"b\n\x01"))),
            "string \"a\\\"b\\n\\x01\"");
  EXPECT_EQ(describe(GgufValue(GgufType::kString, std::string_view("abcdef")), 6, 4),
            "string \"abcd\" and 2 more bytes");
  EXPECT_EQ(
      describe(
          GgufValue(GgufType::kArray, GgufArray{GgufType::kU8, std::vector<uint64_t>{1, 2, 3}}), 2),
      "array of 3 u8 [1, 2, ... 1 more]");
  EXPECT_EQ(describe(GgufValue(GgufType::kArray,
                               GgufArray{GgufType::kBool, std::vector<uint64_t>{1, 0}})),
            "array of 2 bool [true, false]");
}

}  // namespace
}  // namespace longhaul
