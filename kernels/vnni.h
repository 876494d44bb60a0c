// Which VNNI instructions (sums of products of 4 bytes) this processor has.
#pragma once

namespace longhaul {

// AVX-512 F, BW, DQ, VL and VNNI.
bool has_avx512_vnni();
// AVX2 as Highway takes it, and AVX-VNNI.
bool has_avx_vnni();

}  // namespace longhaul
