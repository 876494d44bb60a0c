// Grammars for the sampler: a vocabulary once for a model, a constraint for each text.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "grammar/token_masks.h"
#include "longhaul/grammar.h"
#include "sampling/token_constraint.h"

namespace longhaul {

// A model's vocabulary, and what was found out about grammars in it. Safe to use from several
// threads.
class GrammarVocabulary {
 public:
  // texts[i]: the bytes of token i, empty where it is no text; `ends`: the tokens that end a text.
  GrammarVocabulary(std::span<const std::string_view> texts, std::vector<int32_t> ends);

  // For a text that begins. Error: the vocabulary has no token that ends a text.
  Result<std::unique_ptr<TokenConstraint>> constrain(std::shared_ptr<const Grammar> grammar);

 private:
  std::shared_ptr<grammar::TokenMasks> masks_of(std::shared_ptr<const Grammar> grammar);

  std::shared_ptr<const grammar::TokenTrie> trie_;
  std::mutex mutex_;
  std::list<std::shared_ptr<grammar::TokenMasks>> recent_;  // the last used first
};

}  // namespace longhaul
