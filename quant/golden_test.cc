// Against an independent implementation (the Python package gguf): its decoding of the same bytes,
// bit for bit, and its encoding of the same values, which ours must not lose to. The files are made
// by tools/make_quant_golden.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string>

#include "quant/registry.h"
#include "quant/test_util.h"

namespace longhaul::quant {
namespace {

// A file is: u32 n_blocks, the blocks, their decoded f32; u32 n_encoded, f32 values, the other
// side's blocks for them.
class GoldenFile {
 public:
  explicit GoldenFile(const TensorTypeInfo& info) : info_(info) {
    std::string name(info.name);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    std::ifstream in(std::string(LONGHAUL_SOURCE_DIR) + "/quant/" + name + "/golden.bin",
                     std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  bool exists() const { return !bytes_.empty(); }
  bool at_end() const { return at_ == bytes_.size(); }
  uint32_t count() { return take<uint32_t>(1)[0]; }
  std::vector<std::byte> blocks(size_t n) { return take<std::byte>(n * info_.block_bytes); }
  std::vector<float> values(size_t n) { return take<float>(n * info_.block_len); }

 private:
  template <class T>
  std::vector<T> take(size_t n) {
    std::vector<T> out(n);
    if (n * sizeof(T) > bytes_.size() - at_) {
      ADD_FAILURE() << "the golden file of " << info_.name << " is too short";
      return out;
    }
    if (n > 0) std::memcpy(out.data(), bytes_.data() + at_, n * sizeof(T));
    at_ += n * sizeof(T);
    return out;
  }

  const TensorTypeInfo& info_;
  std::vector<char> bytes_;
  size_t at_ = 0;
};

TEST(QuantGolden, DecodesAndEncodesLikeTheReference) {
  for (const QuantTraits& row : all_quants()) {
    const TensorTypeInfo& info = tensor_type_info(row.type);
    SCOPED_TRACE(info.name);
    GoldenFile golden(info);
    ASSERT_TRUE(golden.exists());

    const size_t n_blocks = golden.count();
    ASSERT_GT(n_blocks, 0u);
    const auto blocks = golden.blocks(n_blocks);
    const auto expected = golden.values(n_blocks);
    std::vector<float> found(expected.size());
    row.dequantize(blocks.data(), found.data(), found.size());
    EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);

    const size_t n_encoded = golden.count();  // 0 where the reference has no encoder
    const auto values = golden.values(n_encoded);
    const auto theirs = golden.blocks(n_encoded);
    std::vector<float> their_values(values.size());
    row.dequantize(theirs.data(), their_values.data(), their_values.size());
    EXPECT_LE(rms_error(values, roundtrip(row.type, values)), rms_error(values, their_values));
    EXPECT_TRUE(golden.at_end());
  }
}

}  // namespace
}  // namespace longhaul::quant
