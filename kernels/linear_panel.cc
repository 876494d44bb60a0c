#include "kernels/linear_panel.h"

#include <cstring>

#include "base/check.h"

namespace longhaul {
namespace {

constexpr size_t kCodes = kBlockInputs * kPanelRows;  // codes of one block of a panel
constexpr size_t kPlane = 4 * kPanelRows;             // codes of one group

// One block of one row, taken apart.
struct RowBlock {
  uint8_t codes[kBlockInputs];
  std::byte scales[4];  // f16 d, f16 m
};

template <class T>
void pack_floats(const std::byte* rows, size_t n_rows, size_t n_in, std::byte* panel) {
  for (size_t r = 0; r < n_rows; ++r) {
    const std::byte* from = rows + r * n_in * sizeof(T);
    for (size_t i = 0; i < n_in; ++i) {
      std::memcpy(panel + (i * kPanelRows + r) * sizeof(T), from + i * sizeof(T), sizeof(T));
    }
  }
}

void split_q8_0(const std::byte* block, RowBlock& out) {
  std::memcpy(out.scales, block, 2);
  for (size_t i = 0; i < kBlockInputs; ++i) {
    out.codes[i] = static_cast<uint8_t>(std::to_integer<int>(block[2 + i]) ^ 0x80);  // + 128
  }
}

// Writes the codes [8 groups][16 rows][4] of a block in the planes of its type.
void store_codes(const uint8_t* codes, size_t code_bytes, std::byte* to) {
  LH_CHECK(code_bytes == kCodes);
  std::memcpy(to, codes, kCodes);
}

void pack_blocks(TensorType type, const PanelFormat& format, const std::byte* rows, size_t n_rows,
                 size_t n_in, std::byte* panel) {
  const size_t n_blocks = n_in / kBlockInputs;
  const size_t block_bytes = tensor_type_info(type).block_bytes;
  std::byte* scales = panel + n_blocks * format.code_bytes;
  for (size_t b = 0; b < n_blocks; ++b) {
    uint8_t codes[kCodes] = {};
    for (size_t r = 0; r < n_rows; ++r) {
      RowBlock block;
      split_q8_0(rows + (r * n_blocks + b) * block_bytes, block);
      for (size_t i = 0; i < kBlockInputs; ++i)
        codes[i / 4 * kPlane + r * 4 + i % 4] = block.codes[i];
      for (size_t s = 0; s < format.scale_bytes / (2 * kPanelRows); ++s) {
        std::memcpy(scales + b * format.scale_bytes + (s * kPanelRows + r) * 2,
                    block.scales + 2 * s, 2);
      }
    }
    store_codes(codes, format.code_bytes, panel + b * format.code_bytes);
  }
}

}  // namespace

const PanelFormat* find_panel_format(TensorType type) {
  static constexpr PanelFormat kFloat32 = {kCodes * 4, 0, 1};
  static constexpr PanelFormat kFloat16 = {kCodes * 2, 0, 1};
  static constexpr PanelFormat kQ8_0 = {kCodes, 2 * kPanelRows, 1};
  switch (type) {
    case TensorType::kF32:
      return &kFloat32;
    case TensorType::kF16:
    case TensorType::kBF16:
      return &kFloat16;
    case TensorType::kQ8_0:
      return &kQ8_0;
    default:
      return nullptr;
  }
}

size_t panel_bytes(TensorType type, size_t n_in) {
  const PanelFormat* format = find_panel_format(type);
  LH_CHECK(format != nullptr);
  const size_t n_blocks = n_in / kBlockInputs;
  const size_t n_bytes =
      n_blocks * format->code_bytes + n_blocks / format->blocks_per_scale * format->scale_bytes;
  return (n_bytes + 63) / 64 * 64;
}

void pack_panel(TensorType type, const std::byte* rows, size_t n_rows, size_t n_in,
                std::byte* panel) {
  const PanelFormat* format = find_panel_format(type);
  LH_CHECK(format != nullptr);
  if (type == TensorType::kF32) {
    pack_floats<uint32_t>(rows, n_rows, n_in, panel);
  } else if (type == TensorType::kF16 || type == TensorType::kBF16) {
    pack_floats<uint16_t>(rows, n_rows, n_in, panel);
  } else {
    pack_blocks(type, *format, rows, n_rows, n_in, panel);
  }
}

}  // namespace longhaul
