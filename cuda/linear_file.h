// What a weight's block in the file's layout says, one number at a time, on the host and the device;
// and the words of a unit made of it.
#pragma once

#include "cuda/linear_layout.h"
#include "quant/q4_0/format.h"
#include "quant/q4_k/format.h"
#include "quant/q6_k/format.h"
#include "quant/q8_0/format.h"

namespace longhaul::cuda {

// One row of the file's layout.
template <TensorType>
struct FileRow;

template <>
struct FileRow<TensorType::kQ8_0> {
  using Block = quant::q8_0::Block;
  static constexpr uint32_t kBlockLen = quant::q8_0::kBlockLen;
  const Block* blocks;
  LH_HOST_DEVICE uint32_t code(size_t i) const {
    return static_cast<uint8_t>(blocks[i / 32].q[i % 32]);
  }
  LH_HOST_DEVICE uint32_t scale(size_t run) const { return blocks[run].scale; }
};

template <>
struct FileRow<TensorType::kQ4_0> {
  using Block = quant::q4_0::Block;
  static constexpr uint32_t kBlockLen = quant::q4_0::kBlockLen;
  const Block* blocks;
  LH_HOST_DEVICE uint32_t code(size_t i) const {
    return blocks[i / 32].q[i % 16] >> (i % 32 < 16 ? 0 : 4) & 0x0Fu;
  }
  LH_HOST_DEVICE uint32_t scale(size_t run) const { return blocks[run].scale; }
};

// Runs of 32.
template <>
struct FileRow<TensorType::kQ4_K> {
  using Block = quant::q4_k::Block;
  static constexpr uint32_t kBlockLen = quant::q4_k::kBlockLen;
  const Block* blocks;
  LH_HOST_DEVICE uint32_t code(size_t i) const {
    const size_t run = i % 256 / 32;
    return blocks[i / 256].q[run / 2 * 32 + i % 32] >> (run % 2 == 0 ? 0 : 4) & 0x0Fu;
  }
  // See quant/k_runs.h for the places of the 6-bit numbers.
  LH_HOST_DEVICE uint32_t scale(size_t run) const {
    const uint8_t* packed = blocks[run / 8].runs;
    const size_t r = run % 8;
    if (r < 4) return packed[r] & 0x3Fu;
    return (packed[4 + r] & 0x0Fu) | (packed[r - 4] >> 6 << 4);
  }
  LH_HOST_DEVICE uint32_t offset(size_t run) const {
    const uint8_t* packed = blocks[run / 8].runs;
    const size_t r = run % 8;
    if (r < 4) return packed[4 + r] & 0x3Fu;
    return (packed[4 + r] >> 4) | (packed[r] >> 6 << 4);
  }
};

// Runs of 16.
template <>
struct FileRow<TensorType::kQ6_K> {
  using Block = quant::q6_k::Block;
  static constexpr uint32_t kBlockLen = quant::q6_k::kBlockLen;
  const Block* blocks;
  LH_HOST_DEVICE uint32_t code(size_t i) const {
    const Block& block = blocks[i / 256];
    const size_t half = i % 256 / 128;
    const size_t quarter = i % 128 / 32;
    const uint32_t low =
        block.low[64 * half + 32 * (quarter % 2) + i % 32] >> (quarter < 2 ? 0 : 4) & 0x0Fu;
    const uint32_t high = block.high[32 * half + i % 32] >> 2 * quarter & 0x03u;
    return low | high << 4;
  }
  LH_HOST_DEVICE uint32_t scale(size_t run) const {
    return static_cast<uint8_t>(blocks[run / 16].run_scale[run % 16]);
  }
};

template <>
struct FileRow<TensorType::kF16> {
  using Block = uint16_t;
  static constexpr uint32_t kBlockLen = 1;
  const Block* blocks;
  LH_HOST_DEVICE uint32_t code(size_t i) const { return blocks[i]; }
};

// A matrix in the file's layout.
struct FileMatrix {
  const std::byte* rows;  // aligned for the type's blocks
  size_t n_out;
  size_t n_in;
};

// Word `word` of unit `unit` of tile `tile` of the packed matrix.
template <TensorType type>
class UnitPacker {
 public:
  using L = Layout<type>;
  using Row = FileRow<type>;

  LH_HOST_DEVICE UnitPacker(const FileMatrix& from, size_t tile, size_t unit)
      : from_(from), first_row_(tile * kTileRows), first_(unit * L::kInputs) {}

  LH_HOST_DEVICE uint32_t word(uint32_t word) const {
    const uint32_t at = word * 4;
    if (at < L::kHighs) return codes(at / L::kCodeBytes, at % L::kCodeBytes / 4);
    if constexpr (L::kHighBytes != 0) {
      if (at < L::kScales)
        return highs((at - L::kHighs) / L::kHighBytes, (at - L::kHighs) % L::kHighBytes / 4);
    }
    if constexpr (L::kScaleBytes != 0) {
      if (at < L::kHead)
        return scales((at - L::kScales) / L::kScaleBytes, (at - L::kScales) % L::kScaleBytes / 4);
    }
    return head((at - L::kHead) / 4);
  }

 private:
  LH_HOST_DEVICE bool inside(size_t row, size_t i) const {
    return first_row_ + row < from_.n_out && i < from_.n_in;
  }
  LH_HOST_DEVICE Row row(size_t row) const {
    const size_t row_bytes = from_.n_in / Row::kBlockLen * sizeof(typename Row::Block);
    return Row{
        reinterpret_cast<const typename Row::Block*>(from_.rows + (first_row_ + row) * row_bytes)};
  }
  // Of input i of the unit.
  LH_HOST_DEVICE uint32_t code(size_t r, size_t i) const {
    return inside(r, first_ + i) ? row(r).code(first_ + i) : 0;
  }

  // Byte `byte` of 8-bit register `reg` of block `block`, which starts at input 32 * block.
  LH_HOST_DEVICE uint32_t code_at(uint32_t block, uint32_t lane, uint32_t reg,
                                  uint32_t byte) const {
    return code(lane / 4 + 8 * (reg % 2), 32 * block + 16 * (reg / 2) + 4 * (lane % 4) + byte);
  }

  LH_HOST_DEVICE uint32_t codes(uint32_t step, uint32_t word) const {
    uint32_t out = 0;
    if constexpr (type == TensorType::kF16) {
      const uint32_t lane = word / 4 % 32;
      const uint32_t reg = word % 4;
      const size_t i = 64 * step + 16 * (word / 128) + 8 * (reg / 2) + 2 * (lane % 4);
      const size_t r = lane / 4 + 8 * (reg % 2);
      return code(r, i) | code(r, i + 1) << 16;
    } else if constexpr (type == TensorType::kQ8_0) {
      for (uint32_t byte = 0; byte < 4; ++byte)
        out |= code_at(2 * step + word / 128, word / 4 % 32, word % 4, byte) << 8 * byte;
    } else {
      const uint32_t flip = type == TensorType::kQ4_0 ? 8 : 0;
      const uint32_t block = 2 * step + word % 4 / 2;
      const uint32_t reg = word % 2 * 2;
      for (uint32_t byte = 0; byte < 4; ++byte) {
        const uint32_t low = (code_at(block, word / 4, reg, byte) & 0x0F) ^ flip;
        const uint32_t high = (code_at(block, word / 4, reg + 1, byte) & 0x0F) ^ flip;
        out |= (low | high << 4) << 8 * byte;
      }
    }
    return out;
  }

  LH_HOST_DEVICE uint32_t highs(uint32_t step, uint32_t word) const {
    uint32_t out = 0;
    for (uint32_t reg = 0; reg < 4; ++reg) {
      for (uint32_t byte = 0; byte < 4; ++byte) {
        const uint32_t high = code_at(2 * step + word % 2, word / 2, reg, byte) >> 4 ^ 2u;
        out |= high << (8 * byte + 2 * reg);
      }
    }
    return out;
  }

  LH_HOST_DEVICE uint32_t scales(uint32_t step, uint32_t word) const {
    const size_t r = word / 2 + 8 * (word % 2);
    const size_t i = first_ + 64 * step;
    uint32_t out = 0;
    if constexpr (type == TensorType::kQ4_K) {
      if (!inside(r, i)) return 0;
      const size_t run = i / 32;
      return row(r).scale(run) | row(r).scale(run + 1) << 8 | row(r).offset(run) << 16 |
             row(r).offset(run + 1) << 24;
    } else if constexpr (type == TensorType::kQ6_K) {
      for (uint32_t b = 0; b < 4; ++b)
        out |= ((inside(r, i) ? row(r).scale(i / 16 + b) : 0) ^ 0x80u) << 8 * b;
    } else if constexpr (type != TensorType::kF16) {
      for (uint32_t b = 0; b < 2; ++b)
        out |= (inside(r, i + 32 * b) ? row(r).scale(i / 32 + b) : 0) << 16 * b;
    }
    return out;
  }

  LH_HOST_DEVICE uint32_t head(uint32_t word) const {
    const size_t block = first_ / Row::kBlockLen;
    if constexpr (type == TensorType::kQ4_K) {
      const size_t r = word / 2 + 8 * (word % 2);
      if (!inside(r, first_)) return 0;
      const auto& from = row(r).blocks[block];
      return from.scale | static_cast<uint32_t>(from.offset_scale) << 16;
    } else if constexpr (type == TensorType::kQ6_K) {
      uint32_t out = 0;
      for (uint32_t b = 0; b < 2; ++b) {
        if (inside(word + 8 * b, first_))
          out |= static_cast<uint32_t>(row(word + 8 * b).blocks[block].scale) << 16 * b;
      }
      return out;
    }
    return 0;
  }

  FileMatrix from_;
  size_t first_row_;
  size_t first_;
};

}  // namespace longhaul::cuda
