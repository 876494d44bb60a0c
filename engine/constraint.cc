// Grammars of requests, in the vocabulary of the model.
#include "grammar/constraint.h"

#include "base/result.h"
#include "engine/engine_impl.h"

namespace longhaul {

Result<std::unique_ptr<TokenConstraint>> Engine::Impl::constraint(const GenerateRequest& request) {
  if (request.grammar == nullptr) return nullptr;
  if (request.ignore_eos)
    return bad_input("ignore_eos: expected false beside a grammar, which says where a text ends");
  // Takes a tenth of a second, and memory: only where it is asked for.
  std::call_once(has_grammar_vocabulary, [&] {
    std::vector<std::string_view> texts(tokenizer->vocab_size());
    for (size_t i = 0; i < texts.size(); ++i)
      texts[i] = tokenizer->text_piece(static_cast<int32_t>(i));
    grammar_vocabulary = std::make_shared<GrammarVocabulary>(texts, tokenizer->end_of_generation());
  });
  return grammar_vocabulary->constrain(request.grammar);
}

}  // namespace longhaul
