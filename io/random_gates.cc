#include "io/random_gates.h"

#include <cmath>
#include <random>
#include <utility>

namespace longhaul {

GateWeights random_gates(GateBase base, size_t block_size, size_t dim, uint64_t seed) {
  GateWeights gates;
  gates.base = std::move(base);
  gates.block_size = block_size;
  gates.dim = dim;
  std::mt19937_64 random(seed);
  const auto draw = [&](size_t n, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = normal(random);
    return values;
  };
  const auto matrix = [&](size_t n_in) {
    return draw(gates.base.n_kv_heads * dim * n_in, 0, 1 / std::sqrt(static_cast<float>(n_in)));
  };
  for (size_t i = 0; i < gates.base.n_layers; ++i) {
    LayerGate& layer = gates.layers.emplace_back();
    layer.wq = matrix(gates.base.n_group() * gates.base.head_dim);
    layer.wk = matrix(3 * gates.base.head_dim);
    layer.q_norm = draw(dim, 1, 0.1F);
    layer.k_norm = draw(dim, 1, 0.1F);
  }
  return gates;
}

}  // namespace longhaul
