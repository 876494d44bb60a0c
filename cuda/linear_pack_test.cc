// Every kernel of products by itself (cuda/emulation/): packing, rounding and products against what
// they must give to the bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "cuda/linear_float-inl.h"
#include "cuda/linear_many-inl.h"
#include "cuda/linear_prepare-inl.h"
#include "cuda/linear_table-inl.h"
#include "cuda/linear_test_util.h"

namespace longhaul::cuda {
namespace {

constexpr float kSentinel = 1234.5F;

void emulate(uint32_t grid_x, uint32_t grid_y, uint32_t n_threads, size_t n_shared_bytes,
             const std::function<void()>& thread) {
  emulation::run_grid({grid_x, grid_y}, n_threads, n_shared_bytes, thread);
}

std::vector<TensorType> fragment_types() {
  return {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K, TensorType::kQ6_K,
          TensorType::kF16};
}

// 16-byte aligned words.
struct Memory {
  explicit Memory(size_t n_bytes) : pieces(n_bytes / 16 + 1, uint4{0, 0, 0, 0}) {}
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(pieces.data());
  }
  std::vector<uint4> pieces;
};

struct Packed {
  explicit Packed(const Weights& w) : memory(0) {
    with_fragment_type(w.type, [&]<TensorType kType>() {
      using L = Layout<kType>;
      n_units = divide_up(w.n_in, L::kInputs);
      const size_t n_words = size_t{divide_up(w.n_out, kTileRows)} * n_units * (L::kBytes / 4);
      memory = Memory(n_words * 4);
      const FileMatrix from = {w.rows.data(), w.n_out, w.n_in};
      emulate(divide_up(n_words, kTableThreads), 1, kTableThreads, 0,
              [&] { pack_units<kType>(from, n_units, n_words, memory.as<uint32_t>()); });
    });
  }
  Memory memory;
  uint32_t n_units = 0;
};

// Rows of activations in fragment order; what lies past the last group are NaNs.
struct Prepared {
  Prepared(const std::vector<float>& x, size_t rows, size_t cols, bool f16)
      : n_rows(static_cast<uint32_t>(rows)),
        n_blocks(f16 ? f16_blocks(cols) : q8_blocks(cols)),
        n_padded(divide_up(rows, kPaddedRows) * kPaddedRows),
        fragments(size_t{n_padded} / 8 * n_blocks * kFragmentBytes),
        scales(size_t{n_padded} * n_blocks * sizeof(float2)),
        row_scales(n_padded * sizeof(float)) {
    Memory aligned(x.size() * sizeof(float));
    std::memcpy(aligned.as<float>(), x.data(), x.size() * sizeof(float));
    for (Memory* memory : {&fragments, &scales, &row_scales})
      std::fill(memory->pieces.begin(), memory->pieces.end(), uint4{~0u, ~0u, ~0u, ~0u});
    const PrepareArgs args = {aligned.as<float>(),
                              cols,
                              n_rows,
                              static_cast<uint32_t>(cols),
                              n_blocks,
                              fragments.as<uint32_t>(),
                              scales.as<float2>(),
                              row_scales.as<float>()};
    const uint32_t groups_rows = divide_up(rows, kGroupRows) * kGroupRows;
    if (f16) {
      emulate(groups_rows, 1, kPrepareThreads, 64, [&] { prepare_f16(args); });
    } else {
      emulate(divide_up(size_t{n_blocks} * 8, kPrepareThreads), groups_rows, kPrepareThreads, 0,
              [&] { prepare_q8(args); });
    }
    view = {fragments.as<uint2>(), f16 ? nullptr : scales.as<float2>(),
            f16 ? row_scales.as<float>() : nullptr, n_blocks};
  }
  uint32_t n_rows, n_blocks, n_padded;
  Memory fragments, scales, row_scales;
  FragmentView view;
};

template <TensorType type, int kTiles, int kGroups, int kCols>
void emulate_few(MatmulArgs args) {
  const uint32_t n_tiles = place_tasks(args, kTiles * kTileRows);
  emulate(n_tiles, divide_up(args.n_rows, kFewRows<kGroups, kCols>),
          std::min(args.n_slices, kFewWarps<kGroups>) * 32,
          few_shared_bytes<kTiles, kGroups, kCols>(args.n_slices),
          [&] { few_rows<type, kTiles, kGroups, kCols>(args); });
}

// `n_groups` 0: the kernel for 4 rows; 8: 4 groups and two tiles; 100: the kernel for many rows.
void emulate_matmul(TensorType type, const MatmulArgs& args, int n_groups) {
  with_fragment_type(type, [&]<TensorType kType>() {
    if (n_groups == 0) {
      if constexpr (kType != TensorType::kF16) emulate_few<kType, 1, 1, 1>(args);
    } else if (n_groups == 1) {
      emulate_few<kType, 1, 1, 2>(args);
    } else if (n_groups == 2) {
      emulate_few<kType, 1, 2, 2>(args);
    } else if (n_groups == 4) {
      emulate_few<kType, 1, 4, 2>(args);
    } else if (n_groups == 8) {
      emulate_few<kType, 2, 4, 2>(args);
    } else {
      MatmulArgs placed = args;
      const uint32_t n = place_tasks(placed, kManyOutputs) * divide_up(args.n_rows, kManyRows);
      emulate(n, 1, kManyWarps * 32, Stage<kType>::kStages * Stage<kType>::kBytes,
              [&] { many_rows<kType>(placed); });
    }
  });
}

// y of two tasks, the second with a bias; [2][n_rows + 1][stride].
std::vector<float> multiply(const Weights& w, Packed& packed, const Prepared& x,
                            const std::vector<float>& bias, int n_groups) {
  const size_t stride = w.n_out + 3;
  const size_t n_all = (x.n_rows + 1) * stride;
  std::vector<float> y(2 * n_all, kSentinel);
  MatmulArgs args = {};
  args.x = x.view;
  args.n_tasks = 2;
  args.n_rows = x.n_rows;
  set_units(args, packed.n_units);
  args.prefetch = Prefetch::kAhead;
  const auto n_out = static_cast<uint32_t>(w.n_out);
  const auto* data = packed.memory.as<std::byte>();
  args.tasks[0] = {data, y.data(), stride, nullptr, n_out, 0};
  args.tasks[1] = {data, y.data() + n_all, stride, bias.data(), n_out, 0};
  emulate_matmul(w.type, args, n_groups);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t r = i % n_all / stride;
    const bool written = r < x.n_rows && i % stride < w.n_out;
    EXPECT_EQ(y[i] != kSentinel, written) << "element " << i;
  }
  return y;
}

struct Case {
  size_t n_out, n_in, n_rows;
  std::vector<int> kernels;
};

std::vector<Case> cases(TensorType type) {
  const bool long_blocks = tensor_type_info(type).block_len == 256;
  if (long_blocks) {
    return {{40, 256, 3, {0, 1, 2, 100}},
            {21, 256 * 18, 12, {1, 2, 4, 8, 100}},
            {16, 256 * 5, 20, {2, 4, 8, 100}},
            {140, 512, 70, {4, 8, 100}}};
  }
  return {{40, 32, 3, {0, 1, 2, 100}},
          {21, 96, 4, {0, 1, 100}},
          {33, 128 * 17 + 32, 12, {1, 2, 4, 8, 100}},
          {16, 896, 20, {2, 4, 8, 100}},
          {140, 416, 70, {4, 8, 100}}};
}

void check_products(const Weights& w, const Case& c, const std::vector<float>& x,
                    const std::vector<float>& bias, const std::vector<float>& y) {
  const size_t stride = c.n_out + 3;
  const float* biased = y.data() + (c.n_rows + 1) * stride;
  for (size_t r = 0; r < c.n_rows; ++r) {
    const float* row = x.data() + r * c.n_in;
    const bool f16 = w.type == TensorType::kF16;
    const RoundedRow rounded = f16 ? round_to_f16(row, c.n_in) : round_to_q8(row, c.n_in);
    for (size_t i = 0; i < c.n_out; ++i) {
      const float found = y[r * stride + i];
      const double magnitude = dot_of_magnitudes(w.row(i), rounded.values.data(), c.n_in);
      ASSERT_NEAR(found, dot(w.row(i), rounded.values.data(), c.n_in), 3e-6 * magnitude)
          << "row " << r << " output " << i;
      if (!f16) {
        ASSERT_EQ(found, exact_product(w, i, rounded)) << "row " << r << " output " << i;
      }
      ASSERT_EQ(biased[r * stride + i], found + bias[i]);
    }
  }
}

TEST(LinearEmulated, EveryKernelGivesTheSameBits) {
  for (const TensorType type : fragment_types()) {
    for (const Case& c : cases(type)) {
      SCOPED_TRACE(std::string(tensor_type_info(type).name) + " " + std::to_string(c.n_out) + "x" +
                   std::to_string(c.n_in) + " rows " + std::to_string(c.n_rows));
      const Weights w(type, c.n_out, c.n_in, 5);
      Packed packed(w);
      const std::vector<float> x = random_floats(c.n_rows * c.n_in, 6);
      const std::vector<float> bias = random_floats(c.n_out, 7);
      const Prepared prepared(x, c.n_rows, c.n_in, type == TensorType::kF16);
      std::vector<float> first;
      for (const int kernel : c.kernels) {
        if (kernel == 0 && type == TensorType::kF16) continue;
        SCOPED_TRACE("kernel " + std::to_string(kernel));
        const std::vector<float> y = multiply(w, packed, prepared, bias, kernel);
        if (first.empty()) {
          check_products(w, c, x, bias, y);
          first = y;
        }
        ASSERT_EQ(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)), 0);
      }
    }
  }
}

TEST(LinearEmulated, ANanPoisonsItsRowAlone) {
  for (const TensorType type : fragment_types()) {
    const Weights w(type, 16, 512, 5);
    Packed packed(w);
    std::vector<float> x = random_floats(3 * 512, 6);
    x[512 + 77] = std::numeric_limits<float>::infinity();
    const Prepared prepared(x, 3, 512, type == TensorType::kF16);
    for (const int kernel : {0, 1, 100}) {
      if (kernel == 0 && type == TensorType::kF16) continue;
      const std::vector<float> y = multiply(w, packed, prepared, std::vector<float>(16), kernel);
      for (size_t r = 0; r < 3; ++r) {
        for (size_t i = 0; i < 16; ++i) EXPECT_EQ(std::isnan(y[r * 19 + i]), r == 1);
      }
    }
  }
}

TEST(LinearEmulated, EmbeddingsAreThoseOfTheCodec) {
  for (const TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K, TensorType::kQ6_K,
        TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    const Weights w(type, 3, 512, 5);
    const int32_t tokens[] = {2, 0, 3, -1};
    std::vector<float> out(4 * 512);
    const EmbedArgs args = {w.rows.data(), 3, 512, tokens, 4, 1.0F, out.data()};
    const auto run = [&]<TensorType kType>() {
      emulate(2, 4, kTableThreads, 0, [&] { embed_rows<kType>(args, w.row_bytes()); });
    };
    if (type == TensorType::kBF16) {
      run.operator()<TensorType::kBF16>();
    } else if (type == TensorType::kF32) {
      run.operator()<TensorType::kF32>();
    } else {
      with_fragment_type(type, run);
    }
    for (size_t i = 0; i < 512; ++i) {
      EXPECT_TRUE(same_bits(out[i], w.row(2)[i]));
      EXPECT_TRUE(same_bits(out[512 + i], w.row(0)[i]));
      EXPECT_TRUE(std::isnan(out[1024 + i]) && std::isnan(out[1536 + i]));
    }
  }
}

template <TensorType type, uint32_t kRows>
void check_float() {
  const size_t n_in = 160, n_out = 11, n_rows = 10;
  const Weights w(type, n_out, n_in, 5);
  Memory rows(w.rows.size());
  std::memcpy(rows.as<std::byte>(), w.rows.data(), w.rows.size());
  const std::vector<float> values = random_floats(n_rows * n_in, 6);
  Memory x(values.size() * sizeof(float));
  std::memcpy(x.as<float>(), values.data(), values.size() * sizeof(float));
  std::vector<float> y(n_rows * n_out);
  const FloatArgs args = {
      x.as<float>(), n_in, rows.as<std::byte>(), y.data(), n_out, nullptr, n_rows, n_out, n_in};
  emulate(2, divide_up(n_rows, kRows), kFloatWarps * 32, 0, [&] { float_rows<type, kRows>(args); });
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t i = 0; i < n_out; ++i) {
      const float* row = values.data() + r * n_in;
      EXPECT_NEAR(y[r * n_out + i], dot(w.row(i), row, n_in),
                  1e-6 * dot_of_magnitudes(w.row(i), row, n_in));
    }
  }
}

TEST(LinearEmulated, FloatWeights) {
  check_float<TensorType::kF32, 1>();
  check_float<TensorType::kF32, 8>();
  check_float<TensorType::kBF16, 4>();
}

}  // namespace
}  // namespace longhaul::cuda
