// Any bytes must give gates or an Error. What is read must survive being written and read again, as
// F32 bit for bit.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "io/gate_file.h"

namespace longhaul {
namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void check_rewrite(const GateWeights& gates) {
  const auto bytes = gate_writer(gates).value().write_to_memory().value();
  const auto again = read_gates(GgufFile::parse(bytes, "again").value()).value();
  LH_CHECK(again.layers.size() == gates.layers.size());
  for (size_t i = 0; i < gates.layers.size(); ++i) {
    LH_CHECK(same_bits(again.layers[i].wq, gates.layers[i].wq));
    LH_CHECK(same_bits(again.layers[i].wk, gates.layers[i].wk));
    LH_CHECK(same_bits(again.layers[i].q_norm, gates.layers[i].q_norm));
    LH_CHECK(same_bits(again.layers[i].k_norm, gates.layers[i].k_norm));
  }
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const auto file = GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) return 0;
  (void)model_fingerprint(*file);
  const auto gates = read_gates(*file);
  if (!gates) {
    LH_CHECK(!gates.error().message.empty());
  } else {
    check_rewrite(*gates);
  }
  return 0;
}
