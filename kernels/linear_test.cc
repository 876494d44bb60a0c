#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/linear_scalar.h"
#include "kernels/linear_sets.h"
#include "kernels/reference/linear.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

constexpr float kSentinel = 1234.5F;

std::vector<TensorType> kernel_types() {
  std::vector<TensorType> types;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    const auto type = static_cast<TensorType>(info.id);
    if (find_panel_format(type) != nullptr) types.push_back(type);
  }
  return types;
}

std::vector<const LinearKernels*> all_kernels() {
  std::vector<const LinearKernels*> tables = all_linear_kernels();
  tables.push_back(&scalar_linear_kernels());
  return tables;
}

std::vector<float> random_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  // Blocks of different sizes, so that a scale taken from the wrong block shows.
  for (size_t i = 0; i < n; ++i) out[i] = normal(random) * (1.0F + static_cast<float>(i / 32 % 7));
  return out;
}

// A random matrix in the file's layout, and what it stands for.
struct Weights {
  TensorType type;
  size_t n_out, n_in;
  std::vector<std::byte> rows;
  std::vector<float> values;  // [n_out, n_in]
  // [n_out, n_in]: the values if all codes were 0, which are -min or scale * -offset.
  std::vector<float> zero_code;

  Weights(TensorType type_in, size_t n_out_in, size_t n_in_in, uint32_t seed)
      : type(type_in), n_out(n_out_in), n_in(n_in_in) {
    const TensorTypeInfo& info = tensor_type_info(type);
    const std::vector<float> random = random_floats(n_out * n_in, seed);
    rows.resize(random.size() / info.block_len * info.block_bytes);
    find_quant(type)->quantize(random.data(), rows.data(), random.size());
    values = reference::dequantise(type, rows.data(), n_out, n_in);
    std::vector<std::byte> zeroed = rows;
    for (size_t at = 0; at < zeroed.size(); at += info.block_bytes)
      clear_codes(zeroed.data() + at, info);
    zero_code = reference::dequantise(type, zeroed.data(), n_out, n_in);
  }

  // Scales come first in a block, except in Q6_K.
  void clear_codes(std::byte* block, const TensorTypeInfo& info) const {
    const bool codes_first = type == TensorType::kQ6_K;
    const size_t code_bytes = codes_first || !reads_q8(type)                           ? 192
                              : type == TensorType::kQ4_K                              ? 128
                              : type == TensorType::kQ5_K                              ? 160
                              : type == TensorType::kQ8_0                              ? 32
                              : type == TensorType::kQ5_0 || type == TensorType::kQ5_1 ? 20
                                                                                       : 16;
    if (!reads_q8(type)) {
      std::memset(block, 0, info.block_bytes);
    } else {
      std::memset(codes_first ? block : block + info.block_bytes - code_bytes, 0, code_bytes);
    }
  }

  const float* row(size_t r) const { return values.data() + r * n_in; }
  PackedMatrix pack(ThreadPool& pool) const {
    auto packed = PackedMatrix::pack(type, rows.data(), n_out, n_in, pool);
    EXPECT_TRUE(packed.has_value());
    return std::move(*packed);
  }
};

// Made once for all instruction sets: encoding takes longer than multiplying.
const Weights& weights(TensorType type, size_t n_out, size_t n_in) {
  static std::map<std::tuple<TensorType, size_t, size_t>, Weights> cache;
  return cache.try_emplace({type, n_out, n_in}, type, n_out, n_in, 3).first->second;
}

// y [n_rows, n_out + 3]: the columns and the row past the end stay sentinels.
std::vector<float> multiply(const LinearKernels& kernels, ThreadPool& pool, const PackedMatrix& w,
                            MatrixView<const float> x, const float* bias) {
  Activations activations;
  prepare_with(kernels, pool, x, activations, reads_q8(w.type()));
  const size_t stride = w.n_out() + 3;
  std::vector<float> y((x.n_rows + 1) * stride, kSentinel);
  const MatmulTask task = {&w, MatrixView<float>(y.data(), x.n_rows, w.n_out(), stride), bias};
  matmul_with(kernels, pool, activations, {&task, 1});
  for (size_t r = 0; r <= x.n_rows; ++r) {
    for (size_t i = r < x.n_rows ? w.n_out() : 0; i < stride; ++i)
      EXPECT_EQ(y[r * stride + i], kSentinel);
  }
  return y;
}

// The activations of one row as the kernels see them: scale * q.
std::vector<float> rounded_row(const Activations& activations, size_t row) {
  const size_t n_rows = activations.f32().n_rows;
  size_t first = 0;
  while (first + group_rows(n_rows - first) <= row) first += group_rows(n_rows - first);
  const ActivationBlock* blocks = activations.group(first) + (row - first);
  std::vector<float> out;
  for (size_t b = 0; b < activations.n_blocks(); ++b, blocks += group_rows(n_rows - first)) {
    for (const int8_t q : blocks->q) out.push_back(blocks->scale * static_cast<float>(q));
  }
  return out;
}

class EveryTarget : public testing::TestWithParam<const LinearKernels*> {};
INSTANTIATE_TEST_SUITE_P(Linear, EveryTarget, testing::ValuesIn(all_kernels()), [](const auto& i) {
  return std::to_string(i.index) + std::string(i.param->name);
});

// The sum of an output has at most two terms a block (or one an input, for floats), each with few
// roundings; a step is a product and an addition, rounded apart where there is no fused one. Terms
// are as large as scale * code + min.
double arithmetic_bound(const Weights& w, size_t out, const float* x) {
  const double n_terms = static_cast<double>(reads_q8(w.type) ? w.n_in / kBlockInputs * 2 : w.n_in);
  const double magnitude =
      reference::dot_of_magnitudes(w.row(out), x, w.n_in) +
      2.0 * reference::dot_of_magnitudes(w.zero_code.data() + out * w.n_in, x, w.n_in);
  return (2.0 * n_terms + 8.0) * 0x1p-24 * magnitude;
}

TEST_P(EveryTarget, ProductIsWithinTheBound) {
  ThreadPool pool(2);
  struct Shape {
    size_t n_out, n_in, n_rows;
  };
  for (const Shape& s :
       {Shape{1, 256, 1}, {16, 512, 2}, {17, 256, 3}, {50, 768, 15}, {300, 256, 66}, {5, 32, 9}}) {
    const std::vector<float> x = random_floats(s.n_rows * s.n_in, 1);
    const std::vector<float> bias = random_floats(s.n_out, 2);
    const MatrixView<const float> rows(x.data(), s.n_rows, s.n_in);
    Activations activations;
    prepare_with(*GetParam(), pool, rows, activations, true);
    for (const TensorType type : kernel_types()) {
      if (s.n_in % tensor_type_info(type).block_len != 0) continue;
      // Several units of work, which are cut alike for all types.
      if (s.n_out == 300 && type != TensorType::kQ8_0 && type != TensorType::kF16) continue;
      SCOPED_TRACE(testing::Message() << tensor_type_info(type).name << " " << s.n_out << "x"
                                      << s.n_in << ", " << s.n_rows << " rows");
      const Weights& w = weights(type, s.n_out, s.n_in);
      const std::vector<float> y = multiply(*GetParam(), pool, w.pack(pool), rows, bias.data());
      for (size_t r = 0; r < s.n_rows; ++r) {
        const std::vector<float> seen = reads_q8(type)
                                            ? rounded_row(activations, r)
                                            : std::vector<float>(rows.row(r), rows.row(r) + s.n_in);
        for (size_t i = 0; i < s.n_out; ++i) {
          const double found = y[r * (s.n_out + 3) + i];
          const double bound = arithmetic_bound(w, i, seen.data()) + std::abs(found) * 0x1p-24;
          ASSERT_NEAR(found, reference::dot(w.row(i), seen.data(), s.n_in) + bias[i], bound)
              << r << "," << i;
          if (!reads_q8(type)) continue;
          ASSERT_NEAR(found, reference::dot(w.row(i), rows.row(r), s.n_in) + bias[i],
                      bound + reference::rounding_bound(w.row(i), rows.row(r), s.n_in));
        }
      }
    }
  }
}

TEST_P(EveryTarget, RowsHaveTheSameBitsAloneAndTogetherAndOnAnyThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  const size_t n_out = 37;
  const size_t n_in = 256;
  const size_t n_rows = 79;  // a tile of rows, then groups of 8, 4, 2 and 1
  const std::vector<float> x = random_floats(n_rows * n_in, 4);
  const MatrixView<const float> rows(x.data(), n_rows, n_in);
  for (const TensorType type : kernel_types()) {
    SCOPED_TRACE(tensor_type_info(type).name);
    const PackedMatrix w = weights(type, n_out, n_in).pack(three);
    const std::vector<float> together = multiply(*GetParam(), one, w, rows, nullptr);
    ASSERT_EQ(together, multiply(*GetParam(), three, w, rows, nullptr));
    for (size_t r = 0; r < n_rows; r += r < 70 ? 7 : 1) {
      const std::vector<float> alone = multiply(*GetParam(), three, w, rows.rows(r, 1), nullptr);
      ASSERT_EQ(std::memcmp(alone.data(), together.data() + r * (n_out + 3), n_out * sizeof(float)),
                0)
          << r;
    }
    for (const size_t n : {2, 3, 4, 5, 6, 7, 9, 20, 39}) {
      const std::vector<float> some = multiply(*GetParam(), one, w, rows.rows(3, n), nullptr);
      ASSERT_EQ(std::memcmp(some.data(), together.data() + 3 * (n_out + 3),
                            n * (n_out + 3) * sizeof(float)),
                0)
          << n;
    }
  }
}

TEST_P(EveryTarget, QuantisedActivationsAreTheNearest) {
  ThreadPool pool(1);
  const size_t n_in = 96;
  for (size_t n_rows = 1; n_rows <= 17; ++n_rows) {
    std::vector<float> x = random_floats(n_rows * n_in, 6);
    std::fill_n(x.begin(), kBlockInputs, 0.0F);  // a block of zeros
    Activations activations;
    prepare_with(*GetParam(), pool, MatrixView<const float>(x.data(), n_rows, n_in), activations,
                 true);
    for (size_t r = 0; r < n_rows; ++r) {
      const std::vector<float> seen = rounded_row(activations, r);
      for (size_t i = 0; i < n_in; ++i) {
        float amax = 0.0F;
        for (size_t j = 0; j < kBlockInputs; ++j)
          amax = std::max(amax, std::abs(x[r * n_in + i / 32 * 32 + j]));
        ASSERT_NEAR(seen[i], x[r * n_in + i], amax / 127.0F * (0.5F + 127.0F * 0x1p-21F))
            << r << "," << i;
      }
    }
  }
}

TEST_P(EveryTarget, NanAndInfinityAreNotSwallowed) {
  ThreadPool pool(1);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = random_floats(2 * 256, 7);
    x[256 + 40] = bad;
    for (const TensorType type : kernel_types()) {
      const Weights& w = weights(type, 16, 256);
      const std::vector<float> y = multiply(*GetParam(), pool, w.pack(pool),
                                            MatrixView<const float>(x.data(), 2, 256), nullptr);
      for (size_t i = 0; i < 16; ++i) {
        EXPECT_TRUE(std::isfinite(y[i]));
        EXPECT_FALSE(std::isfinite(y[19 + i])) << tensor_type_info(type).name << " " << bad;
      }
    }
  }
}

TEST(Linear, VnniHasTheBitsOfHighwaysTarget) {
  ThreadPool pool(1);
  const std::vector<float> x = random_floats(5 * 512, 9);
  const MatrixView<const float> rows(x.data(), 5, 512);
  for (const LinearKernels* vnni : {avx512_vnni_linear_kernels(), avx_vnni_linear_kernels()}) {
    if (vnni == nullptr) continue;
    for (const TensorType type : kernel_types()) {
      SCOPED_TRACE(testing::Message() << vnni->name << " " << tensor_type_info(type).name);
      const PackedMatrix w = weights(type, 40, 512).pack(pool);
      EXPECT_EQ(multiply(simd_linear_kernels(), pool, w, rows, nullptr),
                multiply(*vnni, pool, w, rows, nullptr));
    }
  }
}

TEST(Linear, TasksOfOneForkJoinMayDifferInTypeAndSize) {
  ThreadPool pool(3);
  const size_t n_in = 256;
  const std::vector<float> x = random_floats(10 * n_in, 11);
  const MatrixView<const float> rows(x.data(), 10, n_in);
  Activations activations;
  prepare(pool, rows, activations);
  std::vector<PackedMatrix> matrices;
  for (const TensorType type : kernel_types())
    matrices.push_back(weights(type, 20 + matrices.size(), n_in).pack(pool));
  std::vector<std::vector<float>> outputs;
  std::vector<MatmulTask> tasks;
  for (const PackedMatrix& w : matrices) {
    outputs.emplace_back(10 * w.n_out());
    tasks.push_back({&w, MatrixView<float>(outputs.back().data(), 10, w.n_out())});
  }
  matmul(pool, activations, tasks);
  for (size_t i = 0; i < matrices.size(); ++i) {
    const size_t n_out = matrices[i].n_out();
    const std::vector<float> alone =
        multiply(best_linear_kernels(), pool, matrices[i], rows, nullptr);
    for (size_t r = 0; r < 10; ++r) {
      EXPECT_EQ(std::memcmp(outputs[i].data() + r * n_out, alone.data() + r * (n_out + 3),
                            n_out * sizeof(float)),
                0);
    }
  }
}

TEST(Linear, NoRowsAndNoTasksDoNothing) {
  ThreadPool pool(2);
  const PackedMatrix w = weights(TensorType::kQ8_0, 16, 32).pack(pool);
  Activations activations;
  prepare(pool, MatrixView<const float>(nullptr, 0, 32), activations);
  const MatmulTask task = {&w, MatrixView<float>(nullptr, 0, 16)};
  matmul(pool, activations, {&task, 1});
  matmul(pool, activations, {});
}

TEST(Linear, PackSaysWhatItCannotDo) {
  ThreadPool pool(1);
  const std::vector<std::byte> rows(4096);
  const auto ragged = PackedMatrix::pack(TensorType::kF16, rows.data(), 2, 48, pool);
  ASSERT_FALSE(ragged.has_value());
  EXPECT_NE(ragged.error().message.find("F16 matrix of 2 outputs and 48 inputs"),
            std::string::npos);
  EXPECT_FALSE(PackedMatrix::pack(TensorType::kF32, rows.data(), 0, 32, pool).has_value());
}

TEST(Linear, EmbedRowIsTheDequantisedRow) {
  for (const TensorType type : kernel_types()) {
    const Weights& w = weights(type, 5, 256);
    for (size_t r = 0; r < 5; ++r) {
      std::vector<float> out(257, kSentinel);
      embed_row(type, w.rows.data(), 256, r, out.data());
      EXPECT_EQ(std::memcmp(out.data(), w.row(r), 256 * sizeof(float)), 0);
      EXPECT_EQ(out[256], kSentinel);
    }
  }
}

}  // namespace
}  // namespace longhaul
