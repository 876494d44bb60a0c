#include "kernels/attention_vnni.h"

namespace longhaul::attention {

bool has_vnni() { return false; }

}  // namespace longhaul::attention
