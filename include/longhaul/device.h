// A device beside the host's processor.
#pragma once

#include <string>

namespace longhaul {

struct DeviceInfo {
  std::string name;
  double copy_bytes_per_s = 0;  // measured: bytes read and written of a large copy
};

}  // namespace longhaul
