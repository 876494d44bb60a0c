#include "kernels/linear_scalar.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "quant/half.h"
#include "quant/iq4_nl/format.h"

namespace longhaul {
namespace {

constexpr size_t kHalf = kBlockInputs / 2;

// What a block of a panel says about one row: a weight is scale[half] * (code - offset) + addend.
struct RowBlock {
  int codes[kBlockInputs];
  int offset;
  float scale[2];
  float addend;
};

int read_code(const std::byte* block, size_t code_bits, size_t row, size_t input) {
  const size_t group = input / 4;
  const size_t at = row * 4 + input % 4;
  const auto byte = [&](size_t plane) {
    return std::to_integer<int>(block[plane * kPanelRows * 4 + at]);
  };
  if (code_bits == 8) return byte(group);
  const int low = byte(group % 4) >> (group < 4 ? 0 : 4) & 0x0F;
  if (code_bits == 5) return low | (byte(4) >> group & 1) << 4;
  if (code_bits == 6) return low | (byte(4 + group / 4) >> 2 * (group % 4) & 3) << 4;
  return low;
}

// Row `row` of block `b`.
RowBlock read_block(TensorType type, const std::byte* panel, size_t n_blocks, size_t b,
                    size_t row) {
  const PanelFormat& format = *find_panel_format(type);
  const size_t in_group = b % format.blocks_per_scale;
  const GroupPlace place =
      find_group(format, b / format.blocks_per_scale, n_blocks / format.blocks_per_scale);
  const std::byte* codes = panel + place.codes + in_group * format.code_bytes();
  const std::byte* scales = panel + place.scales;
  const std::byte* half = scales + format.n_small * kPanelRows;
  const auto small = [&](size_t i) {
    return std::to_integer<uint8_t>(scales[i * kPanelRows + row]);
  };
  RowBlock out = {};
  for (size_t i = 0; i < kBlockInputs; ++i) {
    out.codes[i] = read_code(codes, format.code_bits, row, i);
    if (type == TensorType::kIQ4_NL) out.codes[i] = quant::iq4_nl::kLevels[out.codes[i]];
  }
  out.scale[0] = out.scale[1] = read_f16(half + 2 * row);
  switch (type) {
    case TensorType::kQ8_0:
      out.offset = 128;
      break;
    case TensorType::kQ4_0:
      out.offset = 8;
      break;
    case TensorType::kQ5_0:
      out.offset = 16;
      break;
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
      out.addend = read_f16(half + 2 * (kPanelRows + row));
      break;
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      out.scale[0] = out.scale[1] = out.scale[0] * static_cast<float>(small(in_group));
      out.addend =
          -read_f16(half + 2 * (kPanelRows + row)) * static_cast<float>(small(8 + in_group));
      break;
    case TensorType::kQ6_K:
      out.offset = 32;
      for (size_t h = 0; h < 2; ++h) {
        out.scale[h] *= static_cast<float>(static_cast<int8_t>(small(2 * in_group + h)));
      }
      break;
    default:
      break;
  }
  return out;
}

float quantised_dot(const PanelWork& work, TensorType type, const std::byte* panel,
                    const ActivationBlock* a, size_t a_stride, size_t row) {
  const size_t n_blocks = work.n_in / kBlockInputs;
  float sum = 0.0F;
  for (size_t b = 0; b < n_blocks; ++b, a += a_stride) {
    const RowBlock w = read_block(type, panel, n_blocks, b, row);
    for (size_t half = 0; half < 2; ++half) {
      int32_t dot = 0;
      for (size_t i = half * kHalf; i < (half + 1) * kHalf; ++i)
        dot += (w.codes[i] - w.offset) * a->q[i];
      sum += static_cast<float>(dot) * (w.scale[half] * a->scale);
    }
    sum += w.addend * a->scaled_sum;
  }
  return sum;
}

float read_float(TensorType type, const std::byte* panel, size_t i) {
  if (type == TensorType::kF16) return read_f16(panel + 2 * i);
  if (type == TensorType::kBF16) {
    uint16_t h;
    std::memcpy(&h, panel + 2 * i, sizeof(h));
    return std::bit_cast<float>(static_cast<uint32_t>(h) << 16);
  }
  float x;
  std::memcpy(&x, panel + 4 * i, sizeof(x));
  return x;
}

float float_dot(const PanelWork& work, TensorType type, const std::byte* panel, const float* x,
                size_t row) {
  float sum = 0.0F;
  for (size_t i = 0; i < work.n_in; ++i)
    sum += x[i] * read_float(type, panel, i * kPanelRows + row);
  return sum;
}

template <TensorType kType>
void panels(const PanelWork& work) noexcept {
  const size_t n_blocks = work.n_in / kBlockInputs;
  for (size_t out = 0; out < work.n_out; ++out) {
    const std::byte* panel = work.panels + out / kPanelRows * work.panel_bytes;
    const float bias = work.bias == nullptr ? 0.0F : work.bias[out];
    for (size_t first = 0, n; first < work.y.n_rows; first += n) {
      n = group_rows(work.y.n_rows - first);
      for (size_t r = first; r < std::min(first + n, work.y.n_rows); ++r) {
        const float sum =
            reads_q8(kType)
                ? quantised_dot(work, kType, panel, work.blocks + first * n_blocks + (r - first), n,
                                out % kPanelRows)
                : float_dot(work, kType, panel, work.x.row(r), out % kPanelRows);
        work.y.row(r)[out] = sum + bias;
      }
    }
  }
}

PanelKernel find(TensorType type) noexcept {
  switch (type) {
    case TensorType::kF32:
      return panels<TensorType::kF32>;
    case TensorType::kF16:
      return panels<TensorType::kF16>;
    case TensorType::kBF16:
      return panels<TensorType::kBF16>;
    case TensorType::kQ8_0:
      return panels<TensorType::kQ8_0>;
    case TensorType::kQ4_0:
      return panels<TensorType::kQ4_0>;
    case TensorType::kQ4_1:
      return panels<TensorType::kQ4_1>;
    case TensorType::kQ5_0:
      return panels<TensorType::kQ5_0>;
    case TensorType::kQ5_1:
      return panels<TensorType::kQ5_1>;
    case TensorType::kIQ4_NL:
      return panels<TensorType::kIQ4_NL>;
    case TensorType::kQ4_K:
      return panels<TensorType::kQ4_K>;
    case TensorType::kQ5_K:
      return panels<TensorType::kQ5_K>;
    case TensorType::kQ6_K:
      return panels<TensorType::kQ6_K>;
  }
  return nullptr;
}

void quantise_block(const float* x, ActivationBlock& block) {
  uint32_t amax_bits = 0;  // magnitudes order like their bits, NaN last
  for (size_t i = 0; i < kBlockInputs; ++i) {
    amax_bits = std::max(amax_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  }
  const float amax = std::bit_cast<float>(amax_bits);
  const bool usable = amax >= 1e-35F && std::isfinite(amax);
  const float inverse = usable ? 127.0F / amax : 0.0F;
  int32_t sums[2] = {};
  for (size_t i = 0; i < kBlockInputs; ++i) {
    block.q[i] = usable ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0};
    sums[i / kHalf] += block.q[i];
  }
  block.scale = amax / 127.0F;
  block.scaled_sum = block.scale * static_cast<float>(sums[0] + sums[1]);
  block.offset = -128 * (sums[0] + sums[1]);
  block.half_offset = -128 * sums[0];
}

void quantise(MatrixView<const float> x, ActivationBlock* blocks) noexcept {
  const size_t n_blocks = x.n_cols / kBlockInputs;
  for (size_t first = 0, n; first < x.n_rows; first += n) {
    n = group_rows(x.n_rows - first);
    for (size_t r = 0; r < n; ++r) {
      for (size_t b = 0; b < n_blocks; ++b) {
        if (first + r < x.n_rows) {
          quantise_block(x.row(first + r) + b * kBlockInputs, blocks[b * n + r]);
        } else {
          blocks[b * n + r] = ActivationBlock{};
        }
      }
    }
    blocks += n * n_blocks;
  }
}

}  // namespace

const LinearKernels& scalar_linear_kernels() {
  static constexpr LinearKernels kTable = {"scalar", quantise, find};
  return kTable;
}

}  // namespace longhaul
