// Writes the look-up model and the prompt and answer of one walk, for other programs to read:
//   write_lookup_model MODEL.gguf N_NODES TYPE N_PAIRS N_STEPS > walk.txt
// Two lines of token ids: the prompt, the answer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/lookup_model.h"

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: write_lookup_model MODEL.gguf N_NODES TYPE N_PAIRS N_STEPS\n");
    return 2;
  }
  longhaul::LookupSpec spec;
  spec.n_nodes = std::strtoull(argv[2], nullptr, 10);
  for (const auto& type : longhaul::all_tensor_types()) {
    if (type.name == std::string_view(argv[3]))
      spec.type = static_cast<longhaul::TensorType>(type.id);
  }
  const size_t n_pairs = std::strtoull(argv[4], nullptr, 10);
  if (spec.n_nodes < 2 || spec.n_nodes > 65536 || n_pairs < 1 || n_pairs > spec.n_nodes) {
    fmt::print(stderr, "expected 2 to 65536 nodes and at most as many pairs\n");
    return 2;
  }
  if (const auto status = longhaul::write_lookup_model(spec, argv[1]); !status) {
    fmt::print(stderr, "{}\n", status.error().message);
    return 1;
  }
  const auto walk =
      longhaul::make_lookup_walk(spec, n_pairs, std::strtoull(argv[5], nullptr, 10), 1);
  fmt::print("{}\n{}\n", fmt::join(walk.prompt, " "), fmt::join(walk.answer, " "));
  return 0;
}
