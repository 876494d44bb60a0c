// What selectors are told once, when a model is loaded, so that those with data of their own can
// make it: which summaries a cache keeps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "kernels/ops.h"
#include "state/summary.h"

namespace longhaul {

// How the model rotates its queries and keys.
struct RopeAngles {
  std::vector<double> frequencies = {};  // [rotated dimensions / 2] radians per position
  double magnitude = 1.0;                // factor of cosine and sine
  RopeLayout layout = RopeLayout::kHalf;
  double theta = 10000.0;  // the base of the frequencies
};

struct SelectorSetup {
  // The attention of the layers that are selected from, which is alike in all of them.
  size_t n_layers = 0;
  size_t n_heads = 0;
  size_t n_kv_heads = 0;
  size_t key_dim = 0;
  size_t block_size = 0;
  std::string architecture = {};
  std::string name = {};
  const GgufFile* model = nullptr;  // the file; null where a shape is planned
  std::string data_path = {};       // of what a selector has learned: a gate file; empty: none
  bool random_data = false;         // or random numbers in its place, for speed
  std::vector<std::string> kept = {"outlier"};  // selectors whose data is kept
};

// What a selector will keep, before it is made.
struct SummaryPlan {
  SummarySpec spec = {};         // group_bytes == 0: nothing, with this setup
  size_t weight_bytes = 0;       // of what it has learned
  std::string description = {};  // for people: "blocks of 64 tokens, 128 dimensions"
};

struct SummaryMaker {
  Result<SummaryPlan> (*plan)(const SelectorSetup& setup);
  // Null where plan() says nothing. Error: data of another model or block size; both are named.
  Result<std::unique_ptr<Summary>> (*make)(const SelectorSetup& setup, const RopeAngles& rope);
};

// What the selectors that are kept keep with that setup, in the order of their names, without those
// that keep nothing.
Result<std::vector<SummaryPlan>> plan_summaries(const SelectorSetup& setup);
Result<std::vector<std::unique_ptr<Summary>>> make_summaries(const SelectorSetup& setup,
                                                             const RopeAngles& rope);

// The specs of summaries that were made, for a cache that they outlive; of plans, for the memory it
// would take.
std::vector<SummarySpec> specs_of(const std::vector<std::unique_ptr<Summary>>& summaries);
std::vector<SummarySpec> specs_of(const std::vector<SummaryPlan>& plans);

}  // namespace longhaul
