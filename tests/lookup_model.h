// A model set by formula that looks values up exactly, at any length: the fixture for selection and
// caches where no training reaches. lookup_model.md has the formula.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"

namespace longhaul {

// The vocabulary: 256 byte tokens, the end token, then a key token and a value token for each node.
struct LookupSpec {
  size_t n_nodes = 4096;                // at most 65,536
  size_t n_heads = 1;                   // they share one KV head and all do the same
  TensorType type = TensorType::kQ8_0;  // of the matrices: F32, F16, BF16 or Q8_0
  size_t context_length = size_t{1} << 20;
};

int32_t lookup_key(const LookupSpec& spec, size_t node);
int32_t lookup_value(const LookupSpec& spec, size_t node);

// Writes the model to `path`, row by row: its size in memory never matters.
Status write_lookup_model(const LookupSpec& spec, const std::string& path);

// A walk: the prompt lists (node, successor) pairs in random order and ends with a node's key;
// greedy decoding answers with the nodes that follow, each found by one look-up in the prompt. The
// pairs form one cycle.
struct LookupWalk {
  std::vector<int32_t> prompt;  // the end token, n_pairs times (key, value), one key
  std::vector<int32_t> answer;  // n_steps values
};
// n_pairs is at most spec.n_nodes.
LookupWalk make_lookup_walk(const LookupSpec& spec, size_t n_pairs, size_t n_steps, uint64_t seed);

}  // namespace longhaul
