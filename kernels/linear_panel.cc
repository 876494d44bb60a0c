#include "kernels/linear_panel.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"
#include "quant/iq4_nl/format.h"
#include "quant/k_runs.h"
#include "quant/q4_0/format.h"
#include "quant/q4_1/format.h"
#include "quant/q4_k/format.h"
#include "quant/q5_0/format.h"
#include "quant/q5_1/format.h"
#include "quant/q5_k/format.h"
#include "quant/q6_k/format.h"
#include "quant/q8_0/format.h"

namespace longhaul {
namespace {

constexpr size_t kCodes = kBlockInputs * kPanelRows;  // codes of one block of a panel
constexpr size_t kPlane = 4 * kPanelRows;             // codes of one group

// One block of the file, taken apart: what one row adds to a group of scales and to its blocks.
struct RowPart {
  uint8_t codes[256];
  uint8_t small[16];
  uint16_t half[2];
};

void split(const quant::q8_0::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  for (size_t i = 0; i < kBlockInputs; ++i) out.codes[i] = static_cast<uint8_t>(block.q[i] + 128);
}

void split(const quant::q4_0::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  quant::unpack_nibbles(block.q, out.codes);
}

void split(const quant::iq4_nl::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  quant::unpack_nibbles(block.q, out.codes);
}

void split(const quant::q4_1::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  out.half[1] = block.offset;
  quant::unpack_nibbles(block.q, out.codes);
}

void split(const quant::q5_0::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  quant::unpack_nibbles(block.q, out.codes);
  quant::unpack_fifth_bits(block.high, out.codes);
}

void split(const quant::q5_1::Block& block, RowPart& out) {
  out.half[0] = block.scale;
  out.half[1] = block.offset;
  quant::unpack_nibbles(block.q, out.codes);
  quant::unpack_fifth_bits(block.high, out.codes);
}

template <class Block>
void split_runs(const Block& block, RowPart& out) {
  const quant::RunNumbers runs = quant::unpack_runs(block.runs);
  std::copy_n(runs.scale, quant::kRuns, out.small);
  std::copy_n(runs.offset, quant::kRuns, out.small + quant::kRuns);
  out.half[0] = block.scale;
  out.half[1] = block.offset_scale;
  quant::unpack_run_nibbles(block.q, out.codes);
}

void split(const quant::q4_k::Block& block, RowPart& out) { split_runs(block, out); }

void split(const quant::q5_k::Block& block, RowPart& out) {
  split_runs(block, out);
  for (size_t i = 0; i < 256; ++i) {
    const int fifth = block.high[i % quant::kRunLen] >> i / quant::kRunLen & 1;
    out.codes[i] = static_cast<uint8_t>(out.codes[i] | fifth << 4);
  }
}

void split(const quant::q6_k::Block& block, RowPart& out) {
  std::memcpy(out.small, block.run_scale, sizeof(out.small));
  out.half[0] = block.scale;
  for (size_t i = 0; i < 256; ++i) {  // the places of the bits are in the format's header
    const size_t h = i / 128;
    const size_t quarter = i / 32 % 4;
    const int low = block.low[64 * h + i % 64] >> (quarter < 2 ? 0 : 4) & 0x0F;
    const int high = block.high[32 * h + i % 32] >> 2 * quarter & 0x03;
    out.codes[i] = static_cast<uint8_t>(low | high << 4);
  }
}

// Writes the codes [8 groups][16 rows][4] of a block in the planes of their size.
void store_codes(const uint8_t* codes, size_t code_bits, uint8_t* to) {
  if (code_bits == 8) {
    std::memcpy(to, codes, kCodes);
    return;
  }
  uint8_t* high = to + 4 * kPlane;
  for (size_t group = 0; group < 4; ++group) {
    for (size_t i = 0; i < kPlane; ++i) {
      const uint8_t first = codes[group * kPlane + i];
      const uint8_t second = codes[(group + 4) * kPlane + i];
      to[group * kPlane + i] = static_cast<uint8_t>((first & 0x0F) | second << 4);
      if (code_bits == 5) {
        high[i] =
            static_cast<uint8_t>(high[i] | (first >> 4) << group | (second >> 4) << (group + 4));
      } else if (code_bits == 6) {
        high[i] = static_cast<uint8_t>(high[i] | (first >> 4) << 2 * group);
        high[kPlane + i] = static_cast<uint8_t>(high[kPlane + i] | (second >> 4) << 2 * group);
      }
    }
  }
}

// Writes what row `row` adds to a group of scales.
void store_scales(const RowPart& part, const PanelFormat& format, size_t row, std::byte* to) {
  for (size_t i = 0; i < format.n_small; ++i)
    to[i * kPanelRows + row] = static_cast<std::byte>(part.small[i]);
  std::byte* half = to + format.n_small * kPanelRows;
  for (size_t i = 0; i < format.n_half; ++i)
    std::memcpy(half + (i * kPanelRows + row) * 2, &part.half[i], 2);
}

template <class Block>
void pack_blocks(const PanelFormat& format, const std::byte* rows, size_t n_rows, size_t n_in,
                 std::byte* panel) {
  const size_t n_groups = n_in / kBlockInputs / format.blocks_per_scale;  // also blocks of the file
  for (size_t g = 0; g < n_groups; ++g) {
    const GroupPlace place = find_group(format, g, n_groups);
    uint8_t interleaved[8][kCodes] = {};
    RowPart part = {};
    for (size_t r = 0; r < n_rows; ++r) {
      Block block;
      std::memcpy(&block, rows + (r * n_groups + g) * sizeof(Block), sizeof(Block));
      split(block, part);
      store_scales(part, format, r, panel + place.scales);
      for (size_t i = 0; i < format.blocks_per_scale * kBlockInputs; ++i) {
        interleaved[i / kBlockInputs][i % kBlockInputs / 4 * kPlane + r * 4 + i % 4] =
            part.codes[i];
      }
    }
    auto* codes = reinterpret_cast<uint8_t*>(panel + place.codes);
    for (size_t b = 0; b < format.blocks_per_scale; ++b) {
      store_codes(interleaved[b], format.code_bits, codes + b * format.code_bytes());
    }
  }
}

template <class T>
void pack_floats(const std::byte* rows, size_t n_rows, size_t n_in, std::byte* panel) {
  for (size_t r = 0; r < n_rows; ++r) {
    const std::byte* from = rows + r * n_in * sizeof(T);
    for (size_t i = 0; i < n_in; ++i) {
      std::memcpy(panel + (i * kPanelRows + r) * sizeof(T), from + i * sizeof(T), sizeof(T));
    }
  }
}

}  // namespace

const PanelFormat* find_panel_format(TensorType type) {
  static constexpr PanelFormat kFloat32 = {32, 0, 0, 1};
  static constexpr PanelFormat kFloat16 = {16, 0, 0, 1};
  static constexpr PanelFormat kScaled8 = {8, 0, 1, 1};
  static constexpr PanelFormat kScaled4 = {4, 0, 1, 1};
  static constexpr PanelFormat kAffine4 = {4, 0, 2, 1};
  static constexpr PanelFormat kScaled5 = {5, 0, 1, 1};
  static constexpr PanelFormat kAffine5 = {5, 0, 2, 1};
  static constexpr PanelFormat kRuns4 = {4, 16, 2, 8};
  static constexpr PanelFormat kRuns5 = {5, 16, 2, 8};
  static constexpr PanelFormat kRuns6 = {6, 16, 1, 8};
  switch (type) {
    case TensorType::kF32:
      return &kFloat32;
    case TensorType::kF16:
      return &kFloat16;
    case TensorType::kBF16:
      return &kFloat16;
    case TensorType::kQ8_0:
      return &kScaled8;
    case TensorType::kQ4_0:
      return &kScaled4;
    case TensorType::kIQ4_NL:
      return &kScaled4;
    case TensorType::kQ4_1:
      return &kAffine4;
    case TensorType::kQ5_0:
      return &kScaled5;
    case TensorType::kQ5_1:
      return &kAffine5;
    case TensorType::kQ4_K:
      return &kRuns4;
    case TensorType::kQ5_K:
      return &kRuns5;
    case TensorType::kQ6_K:
      return &kRuns6;
  }
  return nullptr;
}

GroupPlace find_group(const PanelFormat& format, size_t group, size_t n_groups) {
  const size_t in_cluster = group % format.groups_per_cluster();
  const size_t first = group - in_cluster;
  const size_t n_cluster = std::min(format.groups_per_cluster(), n_groups - first);
  const size_t code_bytes = format.blocks_per_scale * format.code_bytes();
  const size_t cluster = first * format.group_bytes();
  return {cluster + in_cluster * code_bytes,
          cluster + n_cluster * code_bytes + in_cluster * format.scale_bytes()};
}

size_t panel_bytes(TensorType type, size_t n_in) {
  const PanelFormat* format = find_panel_format(type);
  LH_CHECK(format != nullptr);
  const size_t n_blocks = n_in / kBlockInputs;
  const size_t n_bytes =
      n_blocks * format->code_bytes() + n_blocks / format->blocks_per_scale * format->scale_bytes();
  return (n_bytes + 63) / 64 * 64;
}

void pack_panel(TensorType type, const std::byte* rows, size_t n_rows, size_t n_in,
                std::byte* panel) {
  const PanelFormat* format = find_panel_format(type);
  LH_CHECK(format != nullptr);
  switch (type) {
    case TensorType::kF32:
      return pack_floats<uint32_t>(rows, n_rows, n_in, panel);
    case TensorType::kF16:
    case TensorType::kBF16:
      return pack_floats<uint16_t>(rows, n_rows, n_in, panel);
    case TensorType::kQ8_0:
      return pack_blocks<quant::q8_0::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ4_0:
      return pack_blocks<quant::q4_0::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ4_1:
      return pack_blocks<quant::q4_1::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ5_0:
      return pack_blocks<quant::q5_0::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ5_1:
      return pack_blocks<quant::q5_1::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kIQ4_NL:
      return pack_blocks<quant::iq4_nl::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ4_K:
      return pack_blocks<quant::q4_k::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ5_K:
      return pack_blocks<quant::q5_k::Block>(*format, rows, n_rows, n_in, panel);
    case TensorType::kQ6_K:
      return pack_blocks<quant::q6_k::Block>(*format, rows, n_rows, n_in, panel);
  }
}

}  // namespace longhaul
