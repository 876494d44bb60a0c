// The three forms of retention in float64, each as its page in the literature writes it (RetNet,
// arXiv 2307.08621, equations 5 to 7; with a decay for each token YOCO, arXiv 2405.05254).
#pragma once

#include <cstddef>
#include <vector>

namespace longhaul::reference {

// One head: q and k [n, key_dim], v [n, value_dim], log_decay [n].
struct Retention {
  size_t n = 0, key_dim = 0, value_dim = 0;
  std::vector<double> q, k, v, log_decay;
};

// out [n, value_dim] = sum over m <= n of exp(A_n - A_m) (q_n . k_m) v_m, A the running sum of
// log_decay. (A difference of sums: the products themselves underflow.)
std::vector<double> retain_parallel(const Retention& x);
// Token by token, with the state.
std::vector<double> retain_recurrent(const Retention& x);
// Chunk by chunk, the last one shorter.
std::vector<double> retain_chunkwise(const Retention& x, size_t chunk);

}  // namespace longhaul::reference
