// Products with weight matrices on the device. linear_pack_test.cc runs the same kernels on the host;
// here the hardware is held to the same bits.
#include "cuda/linear.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "cuda/linear_test_util.h"
#include "cuda/linear_tuning.h"

namespace longhaul::cuda {
namespace {

constexpr float kSentinel = 1234.5F;

std::vector<TensorType> all_types() {
  return {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K, TensorType::kQ6_K,
          TensorType::kF16,  TensorType::kBF16, TensorType::kF32};
}
std::string name_of(TensorType type) { return std::string(tensor_type_info(type).name); }
bool is_quantised(TensorType type) { return form_of(type) == kFormQ8; }

template <class T>
T value_of(Result<T> result) {
  LH_CHECK(result.has_value());
  return std::move(*result);
}

class CudaLinear : public testing::Test {
 protected:
  void SetUp() override {
    int n_devices = 0;
    if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0)
      GTEST_SKIP() << "no CUDA device here";
    LH_CUDA(cudaStreamCreate(&stream_));
  }
  void TearDown() override {
    if (stream_ != nullptr) LH_CUDA(cudaStreamDestroy(stream_));
  }

  template <class T>
  DeviceBuffer<T> to_device(std::span<const T> from) {
    auto buffer = value_of(DeviceBuffer<T>::create(from.size()));
    buffer.upload(from, stream_);
    return buffer;
  }
  DeviceBuffer<float> to_device(const std::vector<float>& from) {
    return to_device(std::span<const float>(from));
  }
  Matrix load(const Weights& w) {
    return value_of(Matrix::load(w.type, w.rows.data(), w.n_out, w.n_in, stream_));
  }

  // x [n_rows, n_in] times each matrix, in one call. Checks that what lies between and behind the
  // rows of the results stays as it was.
  std::vector<std::vector<float>> multiply(std::span<const Matrix* const> matrices,
                                           std::span<const float> x, size_t n_rows,
                                           const float* bias = nullptr) {
    const size_t n_in = matrices[0]->n_in();
    auto activations = value_of(Activations::create(n_rows, n_in, stream_));
    const auto device_x = to_device(x.first(n_rows * n_in));
    std::vector<DeviceBuffer<float>> results;
    std::vector<MatmulTask> tasks;
    unsigned forms = 0;
    for (const Matrix* w : matrices) {
      const size_t stride = w->n_out() + 3;
      results.push_back(to_device(std::vector<float>((n_rows + 1) * stride, kSentinel)));
      tasks.push_back({w, results.back().data(), stride, bias});
      forms |= form_of(w->type());
    }
    prepare(stream_, device_x.data(), n_in, n_rows, n_in, activations, forms);
    matmul_with(stream_, tuning_, activations, tasks);
    std::vector<std::vector<float>> out;
    for (size_t i = 0; i < tasks.size(); ++i)
      out.push_back(without_padding(results[i], n_rows, matrices[i]->n_out()));
    return out;
  }
  std::vector<float> multiply(const Matrix& w, std::span<const float> x, size_t n_rows,
                              const float* bias = nullptr) {
    const Matrix* one[] = {&w};
    return multiply(one, x, n_rows, bias)[0];
  }

  cudaStream_t stream_ = nullptr;
  Tuning tuning_;  // of multiply()

 private:
  std::vector<float> without_padding(const DeviceBuffer<float>& y, size_t n_rows, size_t n_out) {
    std::vector<float> padded(y.size());
    y.download(padded, stream_);
    std::vector<float> out;
    const size_t stride = n_out + 3;
    for (size_t i = 0; i < padded.size(); ++i) {
      const bool inside = i / stride < n_rows && i % stride < n_out;
      if (inside) out.push_back(padded[i]);
      EXPECT_EQ(padded[i] == kSentinel, !inside) << "element " << i;
    }
    return out;
  }
};

struct Shape {
  size_t n_out, n_in;
};

// Outputs that are no whole tiles, inputs that are no whole units or slices.
std::vector<Shape> shapes(TensorType type) {
  if (tensor_type_info(type).block_len == 256)
    return {{19, 256}, {40, 2304}, {100, 4096}, {33, 14336}};
  return {{19, 32}, {17, 96}, {40, 2336}, {100, 4096}, {33, 14336}};
}

RoundedRow rounded(TensorType type, const float* x, size_t n) {
  return type == TensorType::kF16 ? round_to_f16(x, n) : round_to_q8(x, n);
}

// What rounding the activations may change: half a unit of the last place of their codes.
double rounding_bound(TensorType type, const float* w, const float* x, size_t n) {
  if (form_of(type) == kFormF32) return 0;
  if (type == TensorType::kF16) return 0x1p-11 * 1.01 * dot_of_magnitudes(w, x, n);
  double bound = 0;
  for (size_t first = 0; first < n; first += 32) {
    double amax = 0;
    double weights = 0;
    for (size_t i = first; i < first + 32; ++i) {
      amax = std::max(amax, std::abs(static_cast<double>(x[i])));
      weights += std::abs(static_cast<double>(w[i]));
    }
    bound += amax / 127 * (0.5 + 127 * 0x1p-21) * weights;
  }
  return bound;
}

TEST_F(CudaLinear, AgreesWithTheReference) {
  for (const TensorType type : all_types()) {
    for (const Shape& s : shapes(type)) {
      SCOPED_TRACE(name_of(type) + " " + std::to_string(s.n_out) + "x" + std::to_string(s.n_in));
      const size_t n_rows = 5;
      const Weights w(type, s.n_out, s.n_in, 1);
      const std::vector<float> x = random_floats(n_rows * s.n_in, 2);
      const std::vector<float> y = multiply(load(w), x, n_rows);
      for (size_t r = 0; r < n_rows; ++r) {
        const float* row = x.data() + r * s.n_in;
        const RoundedRow seen = rounded(type, row, s.n_in);
        const float* values = form_of(type) == kFormF32 ? row : seen.values.data();
        for (size_t i = 0; i < s.n_out; ++i) {
          const double found = y[r * s.n_out + i];
          const double bound = 1e-5 * dot_of_magnitudes(w.row(i), values, s.n_in);
          ASSERT_NEAR(found, dot(w.row(i), values, s.n_in), bound)
              << "row " << r << " output " << i;
          ASSERT_NEAR(found, dot(w.row(i), row, s.n_in),
                      bound + rounding_bound(type, w.row(i), row, s.n_in))
              << "row " << r << " output " << i;
          if (is_quantised(type)) {
            ASSERT_EQ(y[r * s.n_out + i], exact_product(w, i, seen))
                << "row " << r << " output " << i;
          }
        }
      }
    }
  }
}

TEST_F(CudaLinear, BitsDoNotDependOnTheNumberOfRows) {
  for (const TensorType type : all_types()) {
    for (const Shape& s : {Shape{100, 4096}, Shape{3880, 2560}}) {  // the second fills the card
      const size_t max_rows = 512;
      const Weights w(type, s.n_out, s.n_in, 3);
      const Matrix matrix = load(w);
      const std::vector<float> x = random_floats(max_rows * s.n_in, 4);
      const std::vector<float> all = multiply(matrix, x, max_rows);
      for (const size_t n_rows : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64, 100, 200}) {
        SCOPED_TRACE(name_of(type) + " " + std::to_string(s.n_out) + " outputs, " +
                     std::to_string(n_rows) + " rows");
        const std::vector<float> y = multiply(matrix, x, n_rows);
        ASSERT_EQ(std::memcmp(y.data(), all.data(), y.size() * sizeof(float)), 0);
      }
      for (size_t r = 0; r < max_rows; r += r < 40 ? 1 : 61) {  // each alone
        SCOPED_TRACE(name_of(type) + " row " + std::to_string(r));
        const std::vector<float> y = multiply(matrix, std::span(x).subspan(r * s.n_in), 1);
        ASSERT_EQ(std::memcmp(y.data(), all.data() + r * s.n_out, y.size() * sizeof(float)), 0);
      }
    }
  }
}

TEST_F(CudaLinear, BitsDoNotDependOnTheKernel) {
  for (const TensorType type : all_types()) {
    for (const Shape& s : {Shape{19, 512}, Shape{150, 14336}}) {
      const Matrix matrix = load(Weights(type, s.n_out, s.n_in, 28));
      for (const size_t n_rows : {1, 40, 130}) {
        SCOPED_TRACE(name_of(type) + " " + std::to_string(s.n_in) + " inputs, " +
                     std::to_string(n_rows) + " rows");
        const std::vector<float> x = random_floats(n_rows * s.n_in, 29);
        tuning_ = {.many_from_rows = 1, .many_from_blocks = 1};
        const std::vector<float> many = multiply(matrix, x, n_rows);
        const Tuning few[] = {{.many_from_rows = 1000},
                              {.many_from_rows = 1000, .two_tiles_from_blocks = 1},
                              {.many_from_rows = 1000, .prefetch = Prefetch::kNone},
                              {.many_from_rows = 1000, .prefetch = Prefetch::kAhead}};
        for (const Tuning& tuning : few) {
          tuning_ = tuning;
          const std::vector<float> y = multiply(matrix, x, n_rows);
          EXPECT_EQ(std::memcmp(y.data(), many.data(), y.size() * sizeof(float)), 0);
        }
      }
    }
  }
}

TEST_F(CudaLinear, ManyRowsGiveTheBitsOfTheDefinition) {
  for (const TensorType type : all_types()) {
    if (!is_quantised(type)) continue;
    const Weights w(type, 1700, 768, 5);
    const size_t n_rows = 500;
    const std::vector<float> x = random_floats(n_rows * w.n_in, 6);
    const std::vector<float> y = multiply(load(w), x, n_rows);
    for (size_t r = 0; r < n_rows; r += 37) {
      const RoundedRow seen = round_to_q8(x.data() + r * w.n_in, w.n_in);
      for (size_t i = r % 7; i < w.n_out; i += 23)
        ASSERT_EQ(y[r * w.n_out + i], exact_product(w, i, seen)) << name_of(type) << " row " << r;
    }
  }
}

TEST_F(CudaLinear, TasksDoNotChangeOneAnother) {
  std::vector<Matrix> matrices;
  for (const TensorType type : all_types()) {
    matrices.push_back(load(Weights(type, 50, 768, 7)));
    matrices.push_back(load(Weights(type, 200, 768, 8)));
  }
  for (int i = 0; i < 9; ++i) matrices.push_back(load(Weights(TensorType::kQ8_0, 20, 768, 9 + i)));
  std::vector<const Matrix*> pointers;
  for (const Matrix& matrix : matrices) pointers.push_back(&matrix);
  for (const size_t n_rows : {1, 6, 30, 300}) {
    const std::vector<float> x = random_floats(n_rows * 768, 10);
    const auto together = multiply(pointers, x, n_rows);
    for (size_t i = 0; i < matrices.size(); ++i) {
      const std::vector<float> alone = multiply(matrices[i], x, n_rows);
      EXPECT_EQ(std::memcmp(alone.data(), together[i].data(), alone.size() * sizeof(float)), 0)
          << "task " << i;
    }
  }
}

TEST_F(CudaLinear, BiasIsAddedLast) {
  for (const TensorType type : all_types()) {
    const Matrix w = load(Weights(type, 1500, 512, 11));
    const std::vector<float> bias = random_floats(1500, 12);
    const auto device_bias = to_device(bias);
    for (const size_t n_rows : {1, 3, 8, 20, 600}) {
      const std::vector<float> x = random_floats(n_rows * 512, 13);
      const std::vector<float> plain = multiply(w, x, n_rows);
      const std::vector<float> biased = multiply(w, x, n_rows, device_bias.data());
      for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(biased[i], plain[i] + bias[i % 1500]);
    }
  }
}

TEST_F(CudaLinear, WhatIsNotFinitePoisonsItsRowAlone) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const TensorType type : all_types()) {
    const Matrix w = load(Weights(type, 1500, 512, 14));
    for (const size_t n_rows : {3, 8, 20, 600}) {
      std::vector<float> x = random_floats(n_rows * 512, 15);
      const std::vector<float> before = multiply(w, x, n_rows);
      x[512 + 77] = std::numeric_limits<float>::quiet_NaN();
      x[2 * 512 + 300] = -infinity;
      const std::vector<float> y = multiply(w, x, n_rows);
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t row = i / 1500;
        if (row == 1 || row == 2) {
          // A weight may be zero: with weights in f32 the product is then NaN.
          ASSERT_FALSE(std::isfinite(y[i])) << name_of(type) << " row " << row;
        } else {
          ASSERT_TRUE(same_bits(y[i], before[i]));
        }
      }
    }
  }
}

TEST_F(CudaLinear, LargeActivationsDoNotOverflowF16) {
  const Weights w(TensorType::kF16, 40, 512, 16);
  for (const float factor : {1e-30F, 1e6F, 1e30F}) {
    std::vector<float> x = random_floats(2 * 512, 17);
    for (float& v : x) v *= factor;
    const std::vector<float> y = multiply(load(w), x, 2);
    for (size_t i = 0; i < 40; ++i) {
      const RoundedRow seen = round_to_f16(x.data() + 512, 512);
      ASSERT_NEAR(y[40 + i], dot(w.row(i), seen.values.data(), 512),
                  1e-5 * dot_of_magnitudes(w.row(i), x.data() + 512, 512));
    }
  }
}

TEST_F(CudaLinear, SmallBlocksRoundAsOnTheCpu) {
  const Weights w(TensorType::kQ8_0, 20, 96, 18);
  std::vector<float> x = random_floats(96, 19);
  for (size_t i = 0; i < 32; ++i) x[i] *= 1e-36F;   // zeros, by definition
  for (size_t i = 32; i < 64; ++i) x[i] *= 1e-33F;  // small, but not zeros
  const RoundedRow seen = round_to_q8(x.data(), 96);
  const std::vector<float> y = multiply(load(w), x, 1);
  for (size_t i = 0; i < 20; ++i) ASSERT_EQ(y[i], exact_product(w, i, seen));
}

TEST_F(CudaLinear, GivesTheSameBitsEveryTime) {
  for (const TensorType type : all_types()) {
    const Matrix w = load(Weights(type, 2000, 512, 20));
    for (const size_t n_rows : {1, 13, 400}) {
      const std::vector<float> x = random_floats(n_rows * 512, 21);
      const std::vector<float> first = multiply(w, x, n_rows);
      for (int i = 0; i < 20; ++i) {
        const std::vector<float> again = multiply(w, x, n_rows);
        ASSERT_EQ(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)), 0);
      }
    }
  }
}

// One Activations for inputs of different sizes: what an earlier input left does not show.
TEST_F(CudaLinear, ActivationsCanBeUsedAgain) {
  auto shared = value_of(Activations::create(600, 4096, stream_));
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kF16}) {
    for (const size_t n_in : {1024, 96, 544}) {
      for (const size_t n_rows : {600, 5}) {
        const Matrix w = load(Weights(type, 1300, n_in, 22));
        std::vector<float> x = random_floats(n_rows * n_in, 23);
        const std::vector<float> fresh = multiply(w, x, n_rows);
        const auto device_x = to_device(x);
        const auto y = to_device(std::vector<float>(n_rows * 1300, kSentinel));
        prepare(stream_, device_x.data(), n_in, n_rows, n_in, shared, form_of(type));
        const MatmulTask task = {&w, y.data(), 1300, nullptr};
        matmul(stream_, shared, {&task, 1});
        std::vector<float> found(fresh.size());
        y.download(found, stream_);
        ASSERT_EQ(std::memcmp(found.data(), fresh.data(), fresh.size() * sizeof(float)), 0);
      }
    }
  }
}

TEST_F(CudaLinear, AGraphCapturesIt) {
  const Weights from(TensorType::kQ6_K, 1300, 1024, 24);
  const Matrix w = load(from);
  for (const size_t n_rows : {1, 300}) {
    const std::vector<float> x = random_floats(n_rows * 1024, 25);
    const std::vector<float> wanted = multiply(w, x, n_rows);
    auto activations = value_of(Activations::create(n_rows, 1024, stream_));
    const auto device_x = to_device(std::vector<float>(x.size(), 0.0F));
    const auto y = to_device(std::vector<float>(n_rows * 1300, kSentinel));
    const MatmulTask task = {&w, y.data(), 1300, nullptr};
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    LH_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    prepare(stream_, device_x.data(), 1024, n_rows, 1024, activations);
    matmul(stream_, activations, {&task, 1});
    LH_CUDA(cudaStreamEndCapture(stream_, &graph));
    LH_CUDA(cudaGraphInstantiate(&exec, graph, 0));
    device_x.upload(x, stream_);
    LH_CUDA(cudaGraphLaunch(exec, stream_));
    std::vector<float> found(wanted.size());
    y.download(found, stream_);
    EXPECT_EQ(std::memcmp(found.data(), wanted.data(), wanted.size() * sizeof(float)), 0);
    LH_CUDA(cudaGraphExecDestroy(exec));
    LH_CUDA(cudaGraphDestroy(graph));
  }
}

TEST_F(CudaLinear, EmbeddingsAreThoseOfTheCodec) {
  for (const TensorType type : all_types()) {
    const Weights w(type, 30, 768, 26);
    const Table table = value_of(Table::load(type, w.rows.data(), 30, 768, stream_));
    const std::array<int32_t, 4> tokens = {29, 0, 7, 7};
    const auto device_tokens = to_device(std::span<const int32_t>(tokens));
    const auto out = to_device(std::vector<float>(4 * 768, kSentinel));
    for (const float scale : {1.0F, 27.7F}) {
      embed(stream_, table, device_tokens.data(), tokens.size(), scale, out.data());
      std::vector<float> found(4 * 768);
      out.download(found, stream_);
      for (size_t i = 0; i < found.size(); ++i) {
        const float wanted = w.row(static_cast<size_t>(tokens[i / 768]))[i % 768] * scale;
        ASSERT_EQ(found[i], wanted) << name_of(type) << " element " << i;
      }
    }
  }
}

TEST_F(CudaLinear, RefusesWhatItCannotServe) {
  const std::vector<std::byte> rows(4096);
  EXPECT_FALSE(Matrix::load(TensorType::kQ5_1, rows.data(), 1, 32, stream_).has_value());
  EXPECT_FALSE(Matrix::load(TensorType::kQ8_0, rows.data(), 0, 32, stream_).has_value());
  EXPECT_FALSE(Matrix::load(TensorType::kQ8_0, rows.data(), 1, 40, stream_).has_value());
  EXPECT_FALSE(Matrix::load(TensorType::kQ4_K, rows.data(), 1, 128, stream_).has_value());
  EXPECT_EQ(Matrix::bytes(TensorType::kQ5_1, 1, 32), 0u);
  for (const TensorType type : all_types()) {
    const Weights w(type, 21, 512, 27);
    EXPECT_EQ(load(w).bytes(), Matrix::bytes(type, 21, 512));
  }
}

}  // namespace
}  // namespace longhaul::cuda
