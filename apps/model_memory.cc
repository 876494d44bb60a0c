#include "apps/model_memory.h"

#include <algorithm>

#include "longhaul/engine.h"
#include "model/model.h"
#include "model/state_slots.h"
#include "model/tensors.h"

namespace longhaul {
namespace {

constexpr size_t kShortest = 4096;
constexpr size_t kLongest = 1 << 20;

// What does not depend on the context. The vocabulary's tables take about nine times its bytes in
// the file (measured on those of Qwen2, Llama 3, GPT-2 and Llama 2), the program itself 5 MiB.
size_t other_memory(const GgufFile& file, const ModelPlan& model) {
  constexpr size_t kVocabularyFactor = 9;
  constexpr size_t kProgramBytes = 5 << 20;
  size_t vocabulary_bytes = 0;
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    const auto strings = file.get_string_array(key);
    if (!strings) continue;  // inspect shows files without a vocabulary too
    for (const std::string_view text : *strings) vocabulary_bytes += text.size() + sizeof(uint64_t);
  }
  return kProgramBytes + kVocabularyFactor * vocabulary_bytes +
         Model::buffer_bytes(model, EngineOptions().prefill_chunk);
}

}  // namespace

std::vector<size_t> plan_lengths(size_t trained) {
  std::vector<size_t> lengths = {trained};
  for (size_t n = kShortest; n <= std::min(kLongest, std::max(2 * trained, kShortest)); n *= 2) {
    lengths.push_back(n);
  }
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

MemoryPlan plan_memory(const GgufFile& file, const ModelPlan& model, size_t block_size) {
  MemoryPlan plan;
  plan.weight_bytes = weight_bytes(model, file).packed;
  plan.other_bytes = other_memory(file, model);
  const std::vector<SummarySpec> summaries =
      specs_of(plan_summaries(selector_setup(model, block_size)).value());
  for (const size_t n_tokens : plan_lengths(model.context_length)) {
    for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
      const auto slots = state_slots(model, {.k_type = type,
                                             .v_type = type,
                                             .block_size = block_size,
                                             .n_tokens = n_tokens,
                                             .summaries = summaries});
      plan.caches.push_back({n_tokens, type, bytes_for_tokens(slots, n_tokens)});
    }
  }
  return plan;
}

}  // namespace longhaul
