// The insides of Engine and Session.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/scheduler.h"
#include "engine/text.h"
#include "io/gguf.h"
#include "longhaul/calibration.h"
#include "longhaul/engine.h"
#include "model/model.h"
#include "parallel/thread_pool.h"
#include "state/sequence_state.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {

class GrammarVocabulary;

struct Engine::Impl {
  EngineOptions options;
  ModelInfo info;
  std::vector<std::string> warnings;
  std::unique_ptr<ThreadPool> pool;
  std::vector<std::byte> shape_bytes;  // the file of a random model
  std::unique_ptr<GgufFile> file;      // the mapping behind model and tokenizer
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  Result<ChatTemplate> chat_template = bad_input("not loaded");  // models without one load, too
  std::vector<std::unique_ptr<Summary>> summaries;               // what selectors keep per block
  std::unique_ptr<StatePool> states;
  std::unique_ptr<Scheduler> scheduler;
  std::optional<Calibration> calibration;  // guarded by an Alone
  std::once_flag has_model_id;
  std::string its_model_id;  // empty before the first model_id()
  std::once_flag has_grammar_vocabulary;
  std::shared_ptr<GrammarVocabulary> grammar_vocabulary;  // null before the first grammar

  // Names the model in state files: they restore only into the same weights, read in the same way.
  // The first call reads some of every tensor.
  const std::string& model_id();
  // Error if the selector, or that of a mode that asks one, scores from what there is none of.
  Status check_selector(const Selector& selector) const;
  Status check_selector(const AttentionOptions& attention) const;
  // Measures unless that was done before.
  Result<Calibration> ensure_calibration();
  // Error where `what`, which needs the keys and values in the host's memory, cannot be had.
  Status check_on_host(std::string_view what) const;
  // Error where stretches of a text alone cannot be taken out and put in: see clean_format().
  Status check_piecewise() const;
  // What the request's grammar allows; null if it has none.
  Result<std::unique_ptr<TokenConstraint>> constraint(const GenerateRequest& request);
  // A sampler that is never asked, for runs over given tokens.
  Sampler no_sampler() const;
};

struct Session::Impl {
  Impl(Engine::Impl& its_engine, Text its_text) : engine(&its_engine), text(std::move(its_text)) {}
  ~Impl();  // gives the pages back

  Engine::Impl* engine;
  Text text;

  // Error unless `tokens` are in the vocabulary and fit behind the text.
  Status check_tokens(std::span<const int32_t> tokens) const;
};

}  // namespace longhaul
