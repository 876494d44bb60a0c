// The insides of Engine and Session.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/decode.h"
#include "io/gguf.h"
#include "longhaul/calibration.h"
#include "longhaul/engine.h"
#include "model/model.h"
#include "parallel/thread_pool.h"
#include "state/sequence_state.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {

struct Engine::Impl {
  EngineOptions options;
  ModelInfo info;
  std::vector<std::string> warnings;
  std::unique_ptr<ThreadPool> pool;
  std::vector<std::byte> shape_bytes;  // the file of a random model
  std::unique_ptr<GgufFile> file;      // the mapping behind model and tokenizer
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::unique_ptr<Summary>> summaries;  // what selectors keep per block
  std::unique_ptr<StatePool> states;
  std::optional<Calibration> calibration;

  // Names the model in state files: they restore only into the same weights.
  std::string model_id() const;
  // Error if the selector scores from what there is none of.
  Status check_selector(const Selector& selector) const;
  // Measures unless that was done before.
  Status ensure_calibration();
};

struct Session::Impl {
  Engine::Impl* engine = nullptr;
  Text state;

  Status check_request(const GenerateRequest& request) const;
  // Error unless `tokens` are in the vocabulary and fit behind the text.
  Status check_tokens(std::span<const int32_t> tokens) const;
  // True if only the newest token is not in the cache and the mode can take it from there.
  bool ready_to_decode(const GenerateRequest& request) const;
  // Brings the cache up to all tokens but the newest; returns the logits after it.
  Result<std::span<const float>> prefill(DecodeContext& context, const GenerateRequest& request);
  Status decode(DecodeContext& context, const GenerateRequest& request, size_t n_prompt,
                GenerateResult& result);
};

}  // namespace longhaul
