// Retention: attention without softmax whose past fits in one matrix a head (RetNet, arXiv
// 2307.08621; with decays that depend on the token: YOCO's gated retention, arXiv 2405.05254).
#pragma once

#include <cstddef>

namespace longhaul {

// One head of one text over n_rows tokens in a row. Strides are in floats from one token to the
// next; key_dim and value_dim are multiples of kRetentionStep.
struct RetentionJob {
  const float* q = nullptr;      // [n_rows, key_dim]
  const float* k = nullptr;      // [n_rows, key_dim]
  const float* v = nullptr;      // [n_rows, value_dim]
  const float* decay = nullptr;  // [n_rows], in [0, 1]
  float* state = nullptr;        // [key_dim, value_dim], after the tokens before these
  float* out = nullptr;          // [n_rows, value_dim]
  size_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
  size_t n_rows = 0;
  size_t key_dim = 0;
  size_t value_dim = 0;
};

inline constexpr size_t kRetentionStep = 32;

// For each token in turn: state = decay * state + k^T v; out = q state. Only columns [first, first +
// n) of v, state and out, both multiples of kRetentionStep.
//
// The recurrent form is the fast one on a CPU for prompts too: a piece of the state stays in
// registers over a run of tokens, and its 5 key_dim value_dim operations a token are no more than
// the chunkwise form's 4 key_dim value_dim + chunk (key_dim + value_dim). So there is one form, and
// the bits do not depend on how a text was cut into passes.
void retain(const RetentionJob& job, size_t first, size_t n);

}  // namespace longhaul
