#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/attention_kernel.h"
#include "kernels/kv_tile_layout.h"
#include "kernels/reference/attention.h"
#include "quant/half.h"

namespace longhaul::reference {
namespace {

using attention::kGroupTiles;

constexpr float kLargestP = 255.0F;

// One visible token, and what a q8_0 V tile holds of it.
struct Token {
  const std::byte* k_tile;
  const std::byte* v_tile;
  size_t slot;

  int value(size_t dim, size_t value_dim) const {
    return static_cast<int8_t>(v_tile[v_q8_index(slot, dim, value_dim)]);
  }
  float value_scale(size_t chunk, size_t value_dim) const {
    return read_f16(v_tile + scale_offset(slot, chunk, value_dim));
  }
};

using Group = std::vector<Token>;

// The tokens that a row at `pos` sees, by groups of 4 tiles of a segment.
std::vector<Group> visible_groups(const AttentionJob& job, uint32_t pos) {
  std::vector<TileRef> tiles(job.tiles.begin(), job.tiles.end());
  if (job.all_tiles) {
    tiles.clear();
    for (uint32_t t = 0; t <= pos / kTileTokens; ++t) tiles.push_back({t, 0xFFFF});
  }
  const size_t segment_tiles = job.all_tiles ? kSegmentTiles : kListSegmentTiles;
  std::vector<Group> groups;
  size_t n_in_segment = 0;
  for (size_t i = 0; i < tiles.size(); ++i) {
    const uint32_t tile = tiles[i].tile;
    if (i > 0 && tile / segment_tiles != tiles[i - 1].tile / segment_tiles) n_in_segment = 0;
    if (n_in_segment++ % kGroupTiles == 0) groups.emplace_back();
    for (size_t slot = 0; slot < kTileTokens; ++slot) {
      const size_t token = tile * kTileTokens + slot;
      const size_t step = job.window_step;
      const bool near =
          step == 0 ? pos - token < job.window : pos / step - token / step < job.window / step;
      const bool seen = token <= pos && (job.window == 0 || near);
      if (((tiles[i].mask >> slot) & 1) == 0 || !seen) continue;
      groups.back().push_back({job.kv.k_tile(tile), job.kv.v_tile(tile), slot});
    }
  }
  return groups;
}

// A query times `factor`, rounded to 8 bits with a scale per 32 dimensions.
std::vector<double> rounded(const float* q, size_t key_dim, float factor) {
  std::vector<double> result(key_dim);
  for (size_t first = 0; first < key_dim; first += kScaleDims) {
    float amax = 0;
    for (size_t d = first; d < first + kScaleDims; ++d) {
      amax = std::max(amax, std::fabs(q[d] * factor));
    }
    const float inverse = amax > 0 ? 127.0F / amax : 0.0F;
    for (size_t d = first; d < first + kScaleDims; ++d) {
      result[d] = std::nearbyint(q[d] * factor * inverse) * double{amax / 127.0F};
    }
  }
  return result;
}

// How probabilities of a group become integers; see attention.h.
struct Rounding {
  std::vector<std::vector<float>> share;  // [chunk][token] of the largest v scale of the chunk
  std::vector<float> largest;             // [chunk]
  std::vector<float> power;               // [token] the largest share, rounded up

  Rounding() = default;
  Rounding(const Group& group, size_t value_dim) : power(group.size(), 0x1p-20F) {
    for (size_t c = 0; c < value_dim / kScaleDims; ++c) {
      std::vector<float> x;
      for (const Token& t : group) x.push_back(t.value_scale(c, value_dim));
      largest.push_back(*std::max_element(x.begin(), x.end()));
      const float inverse = largest[c] > 0 ? 1.0F / largest[c] : 0.0F;
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] *= inverse;
        power[i] = std::max(power[i], x[i]);
      }
      share.push_back(std::move(x));
    }
    for (float& p : power) {  // up to the next number of 4 mantissa bits
      p = std::bit_cast<float>(((std::bit_cast<uint32_t>(p) >> 19) + 1) << 19);
    }
  }
};

// Adds a group whose powers are w to o, and returns its part of l.
double add_int8(const Group& group, const Rounding& rounding, const std::vector<double>& w,
                double weight, std::vector<double>& o) {
  double l = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    l += w[i] / rounding.power[i] * weight;
    for (size_t d = 0; d < o.size(); ++d) {
      const size_t c = d / kScaleDims;
      const double p = w[i] * rounding.share[c][i] / rounding.power[i];
      o[d] += weight * std::nearbyint(p * kLargestP) / kLargestP * rounding.largest[c] *
              group[i].value(d, o.size());
    }
  }
  return l;
}

double add_f16(const Group& group, const std::vector<double>& w, double weight,
               std::vector<double>& o) {
  std::vector<float> v(o.size());
  double l = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    read_v(KvType::kF16, group[i].v_tile, group[i].slot, v.data(), o.size());
    l += w[i] * weight;
    for (size_t d = 0; d < o.size(); ++d) o[d] += weight * w[i] * v[d];
  }
  return l;
}

void attend_query(const AttentionJob& job, const std::vector<Group>& groups, const float* from,
                  float* out) {
  const bool int8_values = job.kv.v_type == KvType::kQ8_0;
  const float factor = job.scale * attention::kLog2E;
  std::vector<double> q(from, from + job.kv.key_dim);
  for (double& x : q) x *= factor;
  if (job.kv.k_type == KvType::kQ8_0) q = rounded(from, job.kv.key_dim, factor);
  std::vector<float> k(job.kv.key_dim);
  std::vector<double> o(job.kv.value_dim, 0.0);
  double l = 0;
  double top = 0;  // o and l are relative to 2^top
  for (const Group& group : groups) {
    if (group.empty()) continue;
    // f16 values need none.
    const Rounding rounding = int8_values ? Rounding(group, o.size()) : Rounding();
    std::vector<double> w;
    for (size_t i = 0; i < group.size(); ++i) {
      read_k(job.kv.k_type, group[i].k_tile, group[i].slot, k.data(), k.size());
      w.push_back(std::inner_product(q.begin(), q.end(), k.begin(),
                                     int8_values ? std::log2(rounding.power[i]) : 0.0));
    }
    const double m = *std::max_element(w.begin(), w.end());
    if (l == 0) top = m;
    for (double& x : w) x = std::exp2(x - m);
    const double weight = std::exp2(m - top);
    l += int8_values ? add_int8(group, rounding, w, weight, o) : add_f16(group, w, weight, o);
  }
  for (size_t d = 0; d < o.size(); ++d) out[d] = l == 0 ? 0.0F : static_cast<float>(o[d] / l);
}

}  // namespace

void attend_int8(const AttentionJob& job) {
  for (size_t r = 0; r < job.n_rows; ++r) {
    const auto groups = visible_groups(job, job.first_pos + static_cast<uint32_t>(r));
    for (size_t h = 0; h < job.n_group; ++h) {
      attend_query(job, groups, job.q + r * job.q_stride + h * job.kv.key_dim,
                   job.out + r * job.out_stride + h * job.kv.value_dim);
    }
  }
}

}  // namespace longhaul::reference
