// The selective scan in float64, as the literature writes it (Mamba, arXiv 2312.00752, equations 1
// and 2 with the discretisation exp(dt A), dt B).
#pragma once

#include <cstddef>
#include <vector>

namespace longhaul::reference {

// step, x [n, n_channels]; b, c [n, n_states]; step_bias, d [n_channels]; a [n_channels, n_states].
struct Scan {
  size_t n = 0, n_channels = 0, n_states = 0;
  std::vector<double> step, x, b, c, step_bias, a, d;
};

// [n, n_channels]
std::vector<double> scan(const Scan& s);

}  // namespace longhaul::reference
