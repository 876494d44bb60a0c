// The tile codec in plain C++: what write_k, write_v and read_k must equal in every bit.
#pragma once

#include <cstddef>

#include "kernels/kv_tile.h"

namespace longhaul::reference {

void write_k(KvType type, std::byte* tile, size_t slot, const float* k, size_t head_dim);
void write_v(KvType type, std::byte* tile, size_t slot, const float* v, size_t head_dim);
void read_k(KvType type, const std::byte* tile, size_t slot, float* k, size_t head_dim);

}  // namespace longhaul::reference
