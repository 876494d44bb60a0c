#include "kernels/reference/block_outlier.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/block_outlier_layout.h"
#include "kernels/hadamard.h"
#include "quant/half.h"

namespace longhaul::reference {

std::vector<double> rotated(const std::vector<double>& x) {
  size_t n = 1;
  while (x.size() % (2 * n) == 0) n *= 2;
  std::vector<double> y(x.size(), 0.0);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t first = i / n * n;
    for (size_t j = first; j < first + n; ++j) {
      const bool minus = std::popcount((i - first) & (j - first)) % 2 != 0;
      y[i] += (minus ? -1.0 : 1.0) * double{rotation_sign(j)} * x[j];
    }
    y[i] /= std::sqrt(static_cast<double>(n));
  }
  return y;
}

BlockPoints block_points(const std::byte* group, size_t lane, size_t head_dim) {
  BlockPoints points;
  points.spread = read_f16(group + outlier_spread_offset(lane, head_dim));
  for (size_t dim = 0; dim < head_dim; ++dim) {
    const size_t chunk = dim / kScaleDims;
    float origin_step;
    std::memcpy(&origin_step, group + bounds_origin_step_offset(chunk, head_dim), sizeof(float));
    const double origin =
        double{origin_step} * static_cast<int8_t>(group[bounds_origin_offset(dim, head_dim)]);
    const auto codes =
        std::to_integer<int>(group[outlier_codes_offset(lane, dim / 4 * 4, head_dim) + dim % 4]);
    const double mean_step = read_f16(group + bounds_centre_step_offset(lane, chunk));
    const double outlier_step = read_f16(group + bounds_radius_step_offset(lane, chunk));
    points.mean.push_back(origin + mean_step * (2 * (codes % 32) - 31));
    points.outlier.push_back(origin + outlier_step * (2 * (codes / 32) - 7));
    points.mean_step.push_back(mean_step);
    points.outlier_step.push_back(outlier_step);
  }
  return points;
}

BlockPoints points_of(const float* keys, size_t n_keys, size_t head_dim) {
  const auto mean_without = [&](size_t without) {
    std::vector<double> mean(head_dim, 0.0);
    const auto n = static_cast<double>(without < n_keys ? n_keys - 1 : n_keys);
    for (size_t t = 0; t < n_keys; ++t) {
      for (size_t d = 0; t != without && d < head_dim; ++d) mean[d] += keys[t * head_dim + d] / n;
    }
    return mean;
  };
  const std::vector<double> all = mean_without(n_keys);
  size_t outlier = 0;
  double most = -1.0;
  for (size_t t = 0; t < n_keys; ++t) {
    double sum = 0.0;
    for (size_t d = 0; d < head_dim; ++d) sum += std::pow(keys[t * head_dim + d] - all[d], 4);
    if (sum <= most) continue;
    most = sum;
    outlier = t;
  }
  BlockPoints points;
  points.mean = mean_without(outlier);
  const float* key = keys + outlier * head_dim;
  points.outlier.assign(key, key + head_dim);
  double sum = 0.0;
  for (size_t t = 0; t < n_keys; ++t) {
    for (size_t d = 0; t != outlier && d < head_dim; ++d)
      sum += std::pow(keys[t * head_dim + d] - points.mean[d], 2);
  }
  points.spread = std::sqrt(sum / static_cast<double>((n_keys - 1) * head_dim));
  return points;
}

double block_log_mass(const BoundsView& blocks, size_t block, const std::vector<double>& rotated_q,
                      double scale, size_t block_size) {
  const BlockPoints points =
      block_points(blocks.base + blocks.pages[block / kBoundsGroupBlocks] * blocks.page_stride,
                   block % kBoundsGroupBlocks, blocks.head_dim);
  double mean = 0.0;
  double outlier = 0.0;
  double squares = 0.0;
  for (size_t j = 0; j < blocks.head_dim; ++j) {
    mean += rotated_q[j] * points.mean[j];
    outlier += rotated_q[j] * points.outlier[j];
    squares += rotated_q[j] * rotated_q[j];
  }
  const double cloud = scale * (mean + std::sqrt(squares) * points.spread);
  return std::max(cloud + std::log(static_cast<double>(block_size - 1)), scale * outlier);
}

}  // namespace longhaul::reference
