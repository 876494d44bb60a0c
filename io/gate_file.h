// The gate file: the weights of SeerAttention-R gates, a GGUF adapter beside the model they were
// trained for. Its keys and tensors stand in docs/gates.md.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"

namespace longhaul {

inline constexpr size_t kMaxGateDim = 256;
inline constexpr size_t kMaxSinkBlocks = 1;  // those `gate` selects in any case

// The model that gates belong to.
struct GateBase {
  std::string architecture = {};  // general.architecture of the model
  std::string name = {};          // general.name, for messages
  std::string fingerprint = {};   // see model_fingerprint()
  size_t n_layers = 0;
  size_t n_heads = 0;
  size_t n_kv_heads = 0;
  size_t head_dim = 0;

  size_t n_group() const { return n_heads / n_kv_heads; }  // query heads per KV head
};

// The gate of one layer. Each output of a gate has its weights side by side.
struct LayerGate {
  std::vector<float> wq;      // [n_kv_heads, dim, n_group * head_dim]
  std::vector<float> wk;      // [n_kv_heads, dim, 3 * head_dim]: of the max, the min, the mean
  std::vector<float> q_norm;  // [dim], empty without qk_norm
  std::vector<float> k_norm;  // [dim], empty without qk_norm
};

struct GateWeights {
  GateBase base;
  std::string source;  // where the gates came from, if they were imported; else empty
  size_t block_size = 64;
  size_t sink_blocks = 0;  // first blocks that were not trained on: always selected, never ranked
  size_t dim = 128;        // of a gate query and a gate key: a multiple of 32 up to kMaxGateDim
  bool rope = true;        // both are rotated
  bool qk_norm = true;     // RMSNorm of both before that
  float norm_eps = 1e-6F;
  std::vector<LayerGate> layers;  // [base.n_layers]
};

// True if the file says that it holds gates.
bool is_gate_file(const GgufFile& file);

// Reads all but the weights: `layers` stays empty.
Result<GateWeights> read_gate_keys(const GgufFile& file);

// Reads gates from an open file. Errors name the file and the key or tensor; missing and unexpected
// tensors are all named in one. No weight of the result is larger than 65504, the largest f16.
Result<GateWeights> read_gates(const GgufFile& file);
Result<GateWeights> read_gate_file(const std::string& path);

// The file of `gates`, which must outlive the writer, with matrices of type F32 or F16. Error: what
// read_gates() would refuse.
Result<GgufWriter> gate_writer(const GateWeights& gates, TensorType type = TensorType::kF32);
Status write_gate_file(const GateWeights& gates, const std::string& path,
                       TensorType type = TensorType::kF32);

// 16 hexadecimal digits: XXH3 over names and values of the model's F32 norm weights, in the order
// of their names. Quantising leaves them as they are, so that all quantisations of a model share
// gates. Error: the file has no such tensor.
Result<std::string> model_fingerprint(const GgufFile& model);

// An error unless gates trained for `expected` serve `found`; names `file` and both sides.
Status check_same_base(const std::string& file, const GateBase& expected, const GateBase& found);

}  // namespace longhaul
