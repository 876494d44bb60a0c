// The gates of a model (SeerAttention-R, arXiv 2506.08889), ready to run: from the keys of a
// complete block its gate key, from the queries of a step the gate query. Both work on what stands
// before RoPE, which is taken back here, so that a gate key follows from the cached keys alone.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "attention/setup.h"
#include "base/aligned_buffer.h"
#include "base/function_ref.h"
#include "io/gate_file.h"
#include "kernels/half_tiles.h"
#include "kernels/ops.h"

namespace longhaul {

// Immutable; any number of threads may use it. Matrices are kept in f16.
class Gates {
 public:
  // `weights` as read_gates() gives them.
  Gates(const GateWeights& weights, RopeAngles rope);

  size_t block_size() const { return block_size_; }
  size_t sink_blocks() const { return sink_blocks_; }  // first blocks it was not trained to rank
  size_t dim() const { return dim_; }                  // of a gate key and a gate query
  size_t weight_bytes() const { return wq_.size() + wk_.size(); }

  // Reads key `t` of a block, 0 <= t < block_size, as attention sees it, into [head_dim].
  using ReadKey = FunctionRef<void(size_t t, float* key)>;
  // key[dim] = the gate key of a complete block: max, min and mean over its keys before RoPE, times
  // Wk, normalised, rotated as the block's first position. Finite numbers that f16 can hold.
  void encode_key(size_t layer, size_t kv_head, size_t block, ReadKey read, float* key) const;

  // What encode_query() needs of a position, the same for all layers: `angles` [n_angles()].
  size_t n_angles() const { return 2 * rope_.frequencies.size() + dim_; }
  void query_angles(size_t pos, float* angles) const;

  // query[dim] = the gate query of a group's queries `q` [n_group, head_dim] after RoPE, at the
  // position of `angles`: the sum of their products with Wq, normalised, rotated. Finite numbers.
  void encode_query(size_t layer, size_t kv_head, const float* angles, const float* q,
                    float* query) const;

 private:
  HalfMatrixView matrix(const AlignedBuffer<std::byte>& tiles, size_t layer, size_t kv_head,
                        size_t n_cols) const;
  void finish(const std::vector<float>& norm, const float* cos, const float* sin,
              float* vector) const;

  RopeAngles rope_;
  std::vector<double> gate_frequencies_;  // [dim / 2]
  size_t block_size_, sink_blocks_, dim_, n_kv_heads_, n_group_, head_dim_;
  bool rotates_, normalises_;
  float norm_eps_;
  AlignedBuffer<std::byte> wq_;  // [n_layers, n_kv_heads] tiles of [dim, n_group * head_dim]
  AlignedBuffer<std::byte> wk_;  // [n_layers, n_kv_heads] tiles of [dim, 3 * head_dim]
  std::vector<std::vector<float>> q_norm_;  // [n_layers][dim]
  std::vector<std::vector<float>> k_norm_;
  std::vector<float> offset_cos_, offset_sin_;  // [block_size, n_frequencies] of positions 0, 1, ..
};

}  // namespace longhaul
