#include "kernels/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace longhaul::reference {
namespace {

bool sees(const AttentionJob& job, uint32_t pos, uint32_t token) {
  if (token > pos || job.window == 0) return token <= pos;
  if (job.window_step == 0) return pos - token < job.window;
  const size_t n_blocks = job.window / job.window_step;  // that are seen, the row's own among them
  return pos / job.window_step - token / job.window_step < n_blocks;
}

// The tokens of a row in list order.
std::vector<uint32_t> visible_tokens(const AttentionJob& job, uint32_t pos) {
  std::vector<uint32_t> tokens;
  if (job.all_tiles) {
    for (uint32_t t = 0; t <= pos; ++t) {
      if (sees(job, pos, t)) tokens.push_back(t);
    }
    return tokens;
  }
  for (const TileRef& ref : job.tiles) {
    for (uint32_t i = 0; i < kTileTokens; ++i) {
      const uint32_t t = ref.tile * static_cast<uint32_t>(kTileTokens) + i;
      if (((ref.mask >> i) & 1) != 0 && sees(job, pos, t)) tokens.push_back(t);
    }
  }
  return tokens;
}

void attend_query(const AttentionJob& job, std::span<const uint32_t> tokens, const float* q,
                  float* out) {
  const KvView& kv = job.kv;
  std::vector<float> k(kv.key_dim);
  std::vector<float> v(kv.value_dim);
  std::vector<double> scores;
  for (const uint32_t t : tokens) {
    read_k(kv.k_type, kv.k_tile(t / kTileTokens), t % kTileTokens, k.data(), kv.key_dim);
    double score = 0;
    for (size_t d = 0; d < kv.key_dim; ++d) score += double{q[d]} * k[d];
    scores.push_back(score * job.scale);
  }
  std::vector<double> sum(kv.value_dim, 0.0);
  double total = 0;
  const double max = scores.empty() ? 0.0 : *std::max_element(scores.begin(), scores.end());
  for (size_t i = 0; i < tokens.size(); ++i) {
    read_v(kv.v_type, kv.v_tile(tokens[i] / kTileTokens), tokens[i] % kTileTokens, v.data(),
           kv.value_dim);
    const double p = std::exp(scores[i] - max);
    total += p;
    for (size_t d = 0; d < kv.value_dim; ++d) sum[d] += p * v[d];
  }
  for (size_t d = 0; d < kv.value_dim; ++d) {
    out[d] = tokens.empty() ? 0.0F : static_cast<float>(sum[d] / total);
  }
}

}  // namespace

void attend(const AttentionJob& job) {
  for (size_t r = 0; r < job.n_rows; ++r) {
    const auto tokens = visible_tokens(job, job.first_pos + static_cast<uint32_t>(r));
    for (size_t h = 0; h < job.n_group; ++h) {
      attend_query(job, tokens, job.q + r * job.q_stride + h * job.kv.key_dim,
                   job.out + r * job.out_stride + h * job.kv.value_dim);
    }
  }
}

}  // namespace longhaul::reference
