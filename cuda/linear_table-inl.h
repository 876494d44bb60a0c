// Kernels that read the file's layout: packing a matrix, and rows of an embedding table.
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

inline constexpr uint32_t kTableThreads = 256;

// First grid axis: words of a unit; second and third: units and tiles are one after another there.
template <TensorType type>
LH_KERNEL(kTableThreads, 1)
pack_units(FileMatrix from, uint32_t n_units, size_t n_words, uint32_t* to) {
  wait_for_earlier();
  constexpr uint32_t kUnitWords = Layout<type>::kBytes / 4;
  const size_t at = static_cast<size_t>(block_x()) * kTableThreads + thread_id();
  if (at >= n_words) return;
  const size_t unit = at / kUnitWords;
  to[at] = UnitPacker<type>(from, unit / n_units, unit % n_units)
               .word(static_cast<uint32_t>(at % kUnitWords));
}

// One number of a table, exactly as quant/ decodes it.
template <TensorType type>
LH_DEVICE float read_number(const std::byte* row, uint32_t i) {
  if constexpr (type == TensorType::kF32) {
    return reinterpret_cast<const float*>(row)[i];
  } else if constexpr (type == TensorType::kBF16) {
    return float_of(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(row)[i]) << 16);
  } else {
    using Row = FileRow<type>;
    const Row from = {reinterpret_cast<const typename Row::Block*>(row)};
    const auto code = static_cast<int32_t>(from.code(i));
    if constexpr (type == TensorType::kF16) {
      return f16_to_float(static_cast<uint32_t>(code));
    } else {
      const float scale = f16_to_float(from.blocks[i / Row::kBlockLen].scale);
      if constexpr (type == TensorType::kQ8_0) {
        return mul_rn(scale, int_to_float(static_cast<int8_t>(code)));
      } else if constexpr (type == TensorType::kQ4_0) {
        return mul_rn(scale, int_to_float(code - 8));
      } else if constexpr (type == TensorType::kQ6_K) {
        const auto run = static_cast<int8_t>(from.scale(i / 16));
        return mul_rn(mul_rn(scale, int_to_float(run)), int_to_float(code - 32));
      } else {
        const float offset_scale = f16_to_float(from.blocks[i / Row::kBlockLen].offset_scale);
        const float run = mul_rn(scale, int_to_float(static_cast<int32_t>(from.scale(i / 32))));
        const float offset =
            mul_rn(offset_scale, int_to_float(static_cast<int32_t>(from.offset(i / 32))));
        return add_rn(mul_rn(run, int_to_float(code)), -offset);
      }
    }
  }
}

// Second grid axis: rows.
template <TensorType type>
LH_KERNEL(kTableThreads, 1)
embed_rows(LH_KERNEL_ARGUMENT EmbedArgs args, size_t row_bytes) {
  wait_for_earlier();
  const uint32_t i = block_x() * kTableThreads + thread_id();
  if (i >= args.n_cols) return;
  const int32_t token = args.tokens[block_y()];
  float x = float_of(0x7FC00000u);
  if (token >= 0 && static_cast<size_t>(token) < args.n_table_rows)
    x = read_number<type>(args.table + static_cast<size_t>(token) * row_bytes, i);
  args.out[static_cast<size_t>(block_y()) * args.n_cols + i] = mul_rn(x, args.scale);
}

}  // namespace longhaul::cuda
