// What the writer writes, the reader reads back: every type, both ways of giving data, split files.
#include "io/gguf_writer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "io/gguf.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

std::vector<float> ramp(size_t n, float start) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), start);
  return values;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// A writer with a key of every kind.
GgufWriter all_kinds() {
  GgufWriter w;
  w.set_u8("u8", 255);
  w.set_i8("i8", -128);
  w.set_u16("u16", 65535);
  w.set_i16("i16", -32768);
  w.set_u32("u32", UINT32_MAX);
  w.set_i32("i32", INT32_MIN);
  w.set_u64("u64", UINT64_MAX);
  w.set_i64("i64", INT64_MIN);
  w.set_f32("f32", 1e-40f);
  w.set_f64("f64", 0.1);
  w.set_bool("bool", true);
  w.set_string("string", std::string_view("a\0b", 3));
  w.set_u8_array("u8s", std::vector<uint8_t>{1, 255});
  w.set_i8_array("i8s", std::vector<int8_t>{1, -128});
  w.set_u16_array("u16s", std::vector<uint16_t>{1, 65535});
  w.set_i16_array("i16s", std::vector<int16_t>{1, -32768});
  w.set_u32_array("u32s", std::vector<uint32_t>{1, UINT32_MAX});
  w.set_i32_array("i32s", std::vector<int32_t>{1, INT32_MIN});
  w.set_u64_array("u64s", std::vector<uint64_t>{1, UINT64_MAX});
  w.set_i64_array("i64s", std::vector<int64_t>{1, INT64_MIN});
  w.set_f32_array("f32s", std::vector<float>{0.1f, -0.0f});
  w.set_f64_array("f64s", std::vector<double>{0.1, 1e300});
  w.set_bool_array("bools", {true, false, true});
  w.set_string_array("strings", std::vector<std::string>{"", "x", "long enough not to be short"});
  w.set_u32_array("none", {});
  return w;
}

TEST(GgufWriter, EveryKindOfValueComesBack) {
  const auto bytes = all_kinds().write_to_memory().value();
  const auto file = GgufFile::parse(bytes, "m.gguf").value();
  EXPECT_EQ(file.version(), 3u);
  ASSERT_EQ(file.metadata().size(), 25u);
  EXPECT_EQ(file.metadata()[0].first, "u8");
  EXPECT_EQ(file.metadata()[24].first, "none");
  EXPECT_EQ(file.get_u64("u8").value(), 255u);
  EXPECT_EQ(file.get_i64("i8").value(), -128);
  EXPECT_EQ(file.get_u64("u16").value(), 65535u);
  EXPECT_EQ(file.get_i64("i16").value(), -32768);
  EXPECT_EQ(file.get_u64("u32").value(), UINT32_MAX);
  EXPECT_EQ(file.get_i64("i32").value(), INT32_MIN);
  EXPECT_EQ(file.get_u64("u64").value(), UINT64_MAX);
  EXPECT_EQ(file.get_i64("i64").value(), INT64_MIN);
  EXPECT_EQ(file.get_f64("f32").value(), static_cast<double>(1e-40f));
  EXPECT_EQ(file.get_f64("f64").value(), 0.1);
  EXPECT_EQ(file.get_bool("bool").value(), true);
  EXPECT_EQ(file.get_string("string").value(), std::string_view("a\0b", 3));
  EXPECT_EQ(file.get_i32_array("u8s").value(), (std::vector<int32_t>{1, 255}));
  EXPECT_EQ(file.get_i32_array("i8s").value(), (std::vector<int32_t>{1, -128}));
  EXPECT_EQ(file.get_i32_array("u16s").value(), (std::vector<int32_t>{1, 65535}));
  EXPECT_EQ(file.get_i32_array("i16s").value(), (std::vector<int32_t>{1, -32768}));
  EXPECT_EQ(file.get_u64_array("u32s").value(), (std::vector<uint64_t>{1, UINT32_MAX}));
  EXPECT_EQ(file.get_i32_array("i32s").value(), (std::vector<int32_t>{1, INT32_MIN}));
  EXPECT_EQ(file.get_u64_array("u64s").value(), (std::vector<uint64_t>{1, UINT64_MAX}));
  EXPECT_EQ(std::get<std::vector<int64_t>>(file.find("i64s")->array()->items),
            (std::vector<int64_t>{1, INT64_MIN}));
  EXPECT_EQ(file.get_f32_array("f32s").value(), (std::vector<float>{0.1f, -0.0f}));
  EXPECT_EQ(std::get<std::vector<double>>(file.find("f64s")->array()->items),
            (std::vector<double>{0.1, 1e300}));
  EXPECT_EQ(file.get_bool_array("bools").value(), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(file.get_string_array("strings").value()[2], "long enough not to be short");
  EXPECT_TRUE(file.get_u64_array("none").value().empty());
}

TEST(GgufWriter, CopyingEveryValueOfAFileGivesTheSameBytes) {
  GgufWriter w = all_kinds();
  w.set_alignment(64);
  const auto bytes = w.write_to_memory().value();
  const auto file = GgufFile::parse(bytes, "m.gguf").value();
  GgufWriter copy;
  for (const auto& [key, value] : file.metadata()) copy.set(key, value);
  EXPECT_EQ(copy.write_to_memory().value(), bytes);
}

TEST(GgufWriter, TensorsComeBackAlignedAndInOrder) {
  const auto a = ramp(5, 1);
  const auto b = ramp(24, 100);
  for (const uint32_t alignment : {8u, 32u, 4096u}) {
    GgufWriter w;
    w.set_alignment(alignment);
    ASSERT_TRUE(w.add_tensor("a", TensorType::kF32, {5}, bytes_of(a)));
    ASSERT_TRUE(
        w.add_tensor("b", TensorType::kF32, {2, 3, 4}, [&](GgufWriter::Sink sink) -> Status {
          LH_RETURN_IF_ERROR(sink(bytes_of(b).first(10)));
          return sink(bytes_of(b).subspan(10));
        }));
    const auto bytes = w.write_to_memory().value();
    const auto file = GgufFile::parse(bytes, "m.gguf").value();
    EXPECT_EQ(file.alignment(), alignment);
    ASSERT_EQ(file.tensors().size(), 2u);
    EXPECT_EQ(file.tensors()[1].shape, (std::vector<uint64_t>{2, 3, 4}));
    EXPECT_TRUE(std::ranges::equal(file.tensors()[0].data, bytes_of(a)));
    EXPECT_TRUE(std::ranges::equal(file.tensors()[1].data, bytes_of(b)));
    EXPECT_EQ((file.tensors()[1].data.data() - bytes.data()) % alignment, 0);
    EXPECT_EQ(bytes.size() % alignment, 0u);
  }
}

TEST(GgufWriter, SettingAKeyAgainReplacesItInPlace) {
  GgufWriter w;
  w.set_u32("a", 1);
  w.set_u32("b", 2);
  w.set_string("a", "now a string");
  const auto bytes = w.write_to_memory().value();
  const auto file = GgufFile::parse(bytes, "m.gguf").value();
  ASSERT_EQ(file.metadata().size(), 2u);
  EXPECT_EQ(file.metadata()[0].first, "a");
  EXPECT_EQ(file.get_string("a").value(), "now a string");
}

TEST(GgufWriter, RefusesWhatTheReaderWouldRefuse) {
  const auto data = ramp(32, 0);
  GgufWriter w;
  const auto message = [](const Status& status) { return status ? "" : status.error().message; };
  EXPECT_EQ(message(w.add_tensor("t", TensorType::kF32, {31}, bytes_of(data))),
            "tensor \"t\": expected 124 bytes of data, found 128");
  EXPECT_EQ(message(w.add_tensor("t", TensorType::kF32, {}, bytes_of(data))),
            "tensor \"t\": expected 1 to 4 dimensions, found 0");
  EXPECT_EQ(message(w.add_tensor("t", TensorType::kQ8_0, {31}, bytes_of(data))),
            "tensor \"t\": expected rows of a multiple of 32 elements for type Q8_0, found 31");
  EXPECT_FALSE(w.add_tensor(std::string(64, 'n'), TensorType::kF32, {32}, bytes_of(data)));
  EXPECT_FALSE(w.add_tensor("", TensorType::kF32, {32}, bytes_of(data)));
  EXPECT_TRUE(w.add_tensor("t", TensorType::kF32, {32}, bytes_of(data)));
  EXPECT_EQ(message(w.add_tensor("t", TensorType::kF32, {32}, bytes_of(data))),
            "tensor \"t\": added twice");
  EXPECT_TRUE(w.write_to_memory());

  GgufWriter short_source;
  ASSERT_TRUE(short_source.add_tensor("s", TensorType::kF32, {32}, [&](GgufWriter::Sink sink) {
    return sink(bytes_of(data).first(100));
  }));
  EXPECT_EQ(short_source.write_to_memory().error().message,
            "tensor \"s\": expected 128 bytes of data, its source gave 100");

  GgufWriter bad_key;
  bad_key.set_u8(std::string(65536, 'k'), 0);
  EXPECT_FALSE(bad_key.write_to_memory());
  GgufWriter bad_alignment;
  bad_alignment.set_alignment(48);
  EXPECT_FALSE(bad_alignment.write_to_memory());
  GgufWriter hidden_alignment;
  hidden_alignment.set_u32("general.alignment", 64);
  EXPECT_EQ(hidden_alignment.write_to_memory().error().message,
            "key \"general.alignment\": expected 32 as set by set_alignment()");
}

TEST(GgufWriter, AFailedWriteKeepsTheOldFile) {
  const TestDir dir;
  write_text(dir.file("m.gguf"), "old");
  GgufWriter w;
  ASSERT_TRUE(w.add_tensor("t", TensorType::kF32, {1},
                           [](GgufWriter::Sink) -> Status { return bad_input("no data today"); }));
  EXPECT_EQ(w.write(dir.file("m.gguf")).error().message, "no data today");
  EXPECT_EQ(read_text(dir.file("m.gguf")), "old");
  EXPECT_EQ(dir.n_files(), 1u);
}

TEST(GgufWriter, AWrittenFileOpens) {
  const TestDir dir;
  const auto data = ramp(8, 0);
  GgufWriter w;
  w.set_string("general.architecture", "llama");
  ASSERT_TRUE(w.add_tensor("t", TensorType::kF32, {4, 2}, bytes_of(data)));
  ASSERT_TRUE(w.write(dir.file("m.gguf")));
  GgufFile opened = GgufFile::open(dir.file("m.gguf")).value();
  const GgufFile file = std::move(opened);
  EXPECT_EQ(file.path(), dir.file("m.gguf"));
  EXPECT_EQ(file.n_parts(), 1u);
  EXPECT_EQ(file.get_string("general.architecture").value(), "llama");
  EXPECT_TRUE(std::ranges::equal(file.find_tensor("t")->data, bytes_of(data)));
  const auto bytes = w.write_to_memory().value();
  const std::string on_disk = read_text(dir.file("m.gguf"));
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(on_disk)), bytes));
}

// Five tensors of 1, 2, 3, 4 and 5 floats.
class GgufSplit : public testing::Test {
 protected:
  void SetUp() override {
    writer_.set_string("general.architecture", "llama");
    for (size_t n = 1; n <= 5; ++n) data_.push_back(ramp(n, static_cast<float>(n)));
    for (size_t n = 1; n <= 5; ++n) {
      ASSERT_TRUE(writer_.add_tensor("t" + std::to_string(n), TensorType::kF32, {n},
                                     bytes_of(data_[n - 1])));
    }
  }

  std::string open_error() const {
    const auto file = GgufFile::open(part(1));
    return file ? "" : file.error().message;
  }
  std::string part(int number) const {
    return dir_.file("m-0000" + std::to_string(number) + "-of-00003.gguf");
  }

  TestDir dir_;
  GgufWriter writer_;
  std::vector<std::vector<float>> data_;
};

TEST_F(GgufSplit, AllPartsComeBack) {
  // At most 16 bytes: {4 + 8}, {12}, {16}, {20 alone although larger}.
  writer_.set_alignment(64);
  const auto paths = writer_.write_split(dir_.file("m"), 16).value();
  ASSERT_EQ(paths.size(), 4u);
  EXPECT_EQ(paths[3], dir_.file("m-00004-of-00004.gguf"));
  const GgufFile file = GgufFile::open(paths[0]).value();
  EXPECT_EQ(file.n_parts(), 4u);
  EXPECT_EQ(file.get_string("general.architecture").value(), "llama");
  ASSERT_EQ(file.tensors().size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(file.tensors()[i].name, "t" + std::to_string(i + 1));
    EXPECT_TRUE(
        std::ranges::equal(file.find_tensor(file.tensors()[i].name)->data, bytes_of(data_[i])));
  }
}

TEST_F(GgufSplit, AnyOtherPartNamesTheFirst) {
  ASSERT_EQ(writer_.write_split(dir_.file("m"), 24).value().size(), 3u);
  EXPECT_EQ(open_error(), "");
  EXPECT_EQ(GgufFile::open(part(2)).error().message,
            part(2) + ": part 2 of 3: open part 1 instead: " + part(1));
}

TEST_F(GgufSplit, ReportsMissingForeignAndIncompleteParts) {
  ASSERT_EQ(writer_.write_split(dir_.file("m"), 24).value().size(), 3u);
  const std::string second = read_text(part(2));
  std::filesystem::remove(part(2));
  EXPECT_EQ(open_error(), part(2) + ": cannot open: No such file or directory");
  write_text(part(2), read_text(part(3)));
  EXPECT_EQ(open_error(), part(2) + ": expected part 2 of 3, found part 3 of 3");
  write_text(part(2), second.substr(0, second.size() - 40));
  EXPECT_NE(open_error().find("bytes are missing"), std::string::npos) << open_error();

  GgufWriter empty;  // the right place, but no tensors
  empty.set_u16("split.no", 1);
  empty.set_u16("split.count", 3);
  ASSERT_TRUE(empty.write(part(2)));
  EXPECT_EQ(open_error(),
            part(1) + ": key \"split.tensors.count\": expected 5 tensors in 3 parts, found 4");
  const auto again = ramp(1, 0);
  ASSERT_TRUE(empty.add_tensor("t1", TensorType::kF32, {1}, bytes_of(again)));
  ASSERT_TRUE(empty.write(part(2)));
  EXPECT_EQ(open_error(), part(2) + ": tensor \"t1\" is already in an earlier part");

  std::filesystem::rename(part(1), dir_.file("renamed.gguf"));
  EXPECT_EQ(GgufFile::open(dir_.file("renamed.gguf")).error().message,
            dir_.file("renamed.gguf") +
                ": part 1 of 3: expected a file name ending in -00001-of-00003.gguf");
}

// A model of one small and one large tensor (256 KiB), as the hash sees it.
struct HashedModel {
  std::vector<float> norm = ramp(64, 1);
  std::vector<float> matrix = ramp(1 << 16, 0);
  TensorType matrix_type = TensorType::kF32;
  uint64_t n_rows = 64;
  float freq_base = 10000;
  std::string name = "a";

  std::string hash() const {
    GgufWriter w;
    w.set_string("general.architecture", "llama");
    w.set_string("general.name", name);
    w.set_f32("llama.rope.freq_base", freq_base);
    EXPECT_TRUE(w.add_tensor("norm", TensorType::kF32, {norm.size()}, bytes_of(norm)));
    EXPECT_TRUE(
        w.add_tensor("matrix", matrix_type, {matrix.size() / n_rows, n_rows}, bytes_of(matrix)));
    const auto bytes = w.write_to_memory().value();
    return GgufFile::parse(bytes, "m.gguf").value().weights_hash();
  }
};

TEST(WeightsHash, TellsModelsApartByWhatTheyCompute) {
  const std::string hash = HashedModel().hash();
  EXPECT_EQ(hash.size(), 32u);
  HashedModel renamed;
  renamed.name = "b";
  EXPECT_EQ(renamed.hash(), hash);

  HashedModel other_norm;
  other_norm.norm[17] += 1;
  EXPECT_NE(other_norm.hash(), hash);
  HashedModel other_shape;
  other_shape.n_rows = 32;
  EXPECT_NE(other_shape.hash(), hash);
  HashedModel other_type;
  other_type.matrix_type = static_cast<TensorType>(26);  // I32, as wide
  EXPECT_NE(other_type.hash(), hash);
  HashedModel other_rope;
  other_rope.freq_base = 500000;
  EXPECT_NE(other_rope.hash(), hash);
  HashedModel other_training;
  for (float& number : other_training.matrix) number += 1;
  EXPECT_NE(other_training.hash(), hash);
  // Both ends are among what is read of a large tensor.
  for (const size_t at : {size_t{0}, other_norm.matrix.size() - 1}) {
    HashedModel other_end;
    other_end.matrix[at] += 1;
    EXPECT_NE(other_end.hash(), hash) << at;
  }
}

}  // namespace
}  // namespace longhaul
