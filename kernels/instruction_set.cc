#include "kernels/instruction_set.h"

#include "kernels/linear_kernels.h"

namespace longhaul {

std::string_view instruction_set() {
  const std::string_view name = best_linear_kernels().name;
  if (name == "avx512vnni") return "AVX-512 VNNI";
  if (name == "avxvnni") return "AVX-VNNI";
  if (name == "AVX3") return "AVX-512";  // as all but Highway call it
  return name;
}

}  // namespace longhaul
