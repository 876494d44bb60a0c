// Several samples of one prompt, which is read once and whose pages they share.
#pragma once

#include <mutex>

#include "longhaul/engine.h"

namespace longhaul {

// Loads an engine for as many of `most` texts as its cache fits in memory for, at least one, each
// with room for n_each sessions. A context of 0 tokens is settled for one text (apps/context.h).
Result<std::unique_ptr<Engine>> load_for_texts(EngineOptions options, size_t most, size_t n_each);

// May be sampled by several threads at once.
class SharedPrompt {
 public:
  // Reads the prompt of the request, all but its last token, behind what the session holds; a
  // single sample reads it itself. The request must outlive it.
  static Result<std::unique_ptr<SharedPrompt>> read(Session session, const GenerateRequest& request,
                                                    size_t n_samples);

  // Sample `index`, of the request's seed + index: the text that generate() would give for this
  // seed. Callbacks are those of `request`.
  Result<GenerateResult> sample(size_t index);

 private:
  SharedPrompt(Session session, const GenerateRequest& request, size_t n_samples)
      : session_(std::move(session)), request_(request), n_samples_(n_samples) {}

  std::mutex mutex_;
  Session session_;
  const GenerateRequest& request_;
  const size_t n_samples_;
  double prefill_s_ = 0;
};

}  // namespace longhaul
