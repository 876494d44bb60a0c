// Which instructions this processor is asked for.
#pragma once

#include <string_view>

namespace longhaul {

// The set that the matrix products use here: "AVX-512 VNNI", "AVX-VNNI", "AVX-512", "AVX2", "NEON".
std::string_view instruction_set();

}  // namespace longhaul
