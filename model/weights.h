// The weights of a transformer, bound by name, type and shape from a GGUF file.
#pragma once

#include <vector>

#include "base/aligned_buffer.h"
#include "base/page_region.h"
#include "base/result.h"
#include "io/gguf.h"
#include "kernels/linear.h"
#include "model/config.h"
#include "parallel/thread_pool.h"

namespace longhaul {

struct LayerWeights {
  AlignedBuffer<float> attn_norm;  // [d_model]
  PackedMatrix wq;                 // [n_heads * head_dim, d_model]
  PackedMatrix wk;                 // [n_kv_heads * head_dim, d_model]
  PackedMatrix wv;                 // [n_kv_heads * head_dim, d_model]
  PackedMatrix wo;                 // [d_model, n_heads * head_dim]
  AlignedBuffer<float> bq;         // [n_heads * head_dim], empty without biases
  AlignedBuffer<float> bk;         // [n_kv_heads * head_dim]
  AlignedBuffer<float> bv;         // [n_kv_heads * head_dim]
  AlignedBuffer<float> q_norm;     // [head_dim], empty without QK-norm
  AlignedBuffer<float> k_norm;     // [head_dim]
  AlignedBuffer<float> ffn_norm;   // [d_model]
  PackedMatrix w_gate;             // [d_ff, d_model]
  PackedMatrix w_up;               // [d_ff, d_model]
  PackedMatrix w_down;             // [d_model, d_ff]
};

struct ModelWeights {
  PageRegion memory;  // of the packed matrices
  TensorType embedding_type = TensorType::kF32;
  const std::byte* embedding =
      nullptr;  // [vocab_size, d_model], in the mapped file: read a row at a time
  std::vector<LayerWeights> layers;
  AlignedBuffer<float> output_norm;  // [d_model]
  PackedMatrix
      output;  // [vocab_size, d_model]; made from the embedding where the file has no other
  AlignedBuffer<float> rope_factors;  // [rope.dim / 2], empty without
  size_t n_parameters = 0;
  size_t packed_bytes = 0;  // of all packed matrices
};

// Binds every tensor of the file; sets config.vocab_size. A missing tensor, one of another shape or
// type, or one the architecture does not know is an Error that names it.
Result<ModelWeights> bind_weights(const GgufFile& file, ModelConfig& config, ThreadPool& pool);

}  // namespace longhaul
