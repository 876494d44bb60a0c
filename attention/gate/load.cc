#include "attention/gate/load.h"

#include <fmt/format.h>

#include "attention/gate/summary.h"
#include "io/random_gates.h"

namespace longhaul {
namespace {

SummaryPlan plan_of(const SelectorSetup& setup, size_t dim) {
  const size_t n_inputs = (setup.n_heads / setup.n_kv_heads + 3) * setup.key_dim;  // of Wq and Wk
  return {.spec = gate_summary_spec(dim),
          .weight_bytes = setup.n_layers * setup.n_kv_heads * dim * n_inputs * sizeof(uint16_t),
          .description = fmt::format("blocks of {} tokens, {} dimensions", setup.block_size, dim)};
}

Status check_block_size(const std::string& path, size_t trained, size_t found) {
  if (trained == found) return {};
  return bad_input("{}: gates for blocks of {} tokens, but the block size is {}", path, trained,
                   found);
}

}  // namespace

Result<size_t> gate_block_size(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  LH_ASSIGN_OR_RETURN(const GateWeights header, read_gate_keys(file));
  return header.block_size;
}

Result<GateBase> gate_base(const SelectorSetup& setup) {
  GateBase base{.architecture = setup.architecture,
                .name = setup.name,
                .n_layers = setup.n_layers,
                .n_heads = setup.n_heads,
                .n_kv_heads = setup.n_kv_heads,
                .head_dim = setup.key_dim};
  LH_ASSIGN_OR_RETURN(base.fingerprint, model_fingerprint(*setup.model));
  return base;
}

Result<SummaryPlan> plan_gates(const SelectorSetup& setup) {
  if (setup.random_data) return plan_of(setup, kRandomGateDim);
  if (setup.data_path.empty()) return SummaryPlan{};
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(setup.data_path));
  LH_ASSIGN_OR_RETURN(const GateWeights header, read_gate_keys(file));
  LH_RETURN_IF_ERROR(check_block_size(setup.data_path, header.block_size, setup.block_size));
  return plan_of(setup, header.dim);
}

Result<std::unique_ptr<Summary>> make_gates(const SelectorSetup& setup, const RopeAngles& rope) {
  if (setup.data_path.empty() && !setup.random_data) return nullptr;
  LH_ASSIGN_OR_RETURN(GateBase base, gate_base(setup));
  if (setup.random_data) {
    return std::make_unique<GateSummary>(
        random_gates(std::move(base), setup.block_size, kRandomGateDim, 1), rope);
  }
  LH_ASSIGN_OR_RETURN(const GateWeights gates, read_gate_file(setup.data_path));
  LH_RETURN_IF_ERROR(check_same_base(setup.data_path, gates.base, base));
  LH_RETURN_IF_ERROR(check_block_size(setup.data_path, gates.block_size, setup.block_size));
  return std::make_unique<GateSummary>(gates, rope);
}

}  // namespace longhaul
