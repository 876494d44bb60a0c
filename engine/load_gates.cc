#include "engine/load_gates.h"

#include "io/random_gates.h"

namespace longhaul {
namespace {

constexpr size_t kPlainBlockSize = 16;
constexpr size_t kRandomGateBlockSize = 64;

}  // namespace

Status settle_block_size(EngineOptions& options) {
  size_t& block_size = options.block_size;
  if (options.gates_path.empty()) {
    if (block_size == 0) block_size = options.random_gates ? kRandomGateBlockSize : kPlainBlockSize;
    return {};
  }
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(options.gates_path));
  LH_ASSIGN_OR_RETURN(const GateWeights header, read_gate_keys(file));
  if (block_size == 0) block_size = header.block_size;
  if (block_size == header.block_size) return {};
  return bad_input("{}: gates for blocks of {} tokens, but the block size is {}",
                   options.gates_path, header.block_size, block_size);
}

Result<std::optional<GateWeights>> load_gates(const EngineOptions& options, const GgufFile& model,
                                              const ModelConfig& config) {
  if (options.gates_path.empty() && !options.random_gates) return std::nullopt;
  LH_ASSIGN_OR_RETURN(GateBase base, gate_base(model, config));
  if (options.random_gates) {
    return random_gates(std::move(base), options.block_size, kRandomGateDim, 1);
  }
  LH_ASSIGN_OR_RETURN(GateWeights gates, read_gate_file(options.gates_path));
  LH_RETURN_IF_ERROR(check_same_base(options.gates_path, gates.base, base));
  return gates;
}

size_t gate_weight_bytes(const ModelConfig& config, size_t dim) {
  const size_t n_inputs = (config.n_group() + 3) * config.head_dim;  // of Wq and Wk
  return config.n_layers * config.n_kv_heads * dim * n_inputs * sizeof(uint16_t);
}

std::string describe(const GateWeights& gates) {
  return fmt::format("blocks of {} tokens, {} dimensions", gates.block_size, gates.dim);
}

}  // namespace longhaul
