// One text in a grammar: where it stands, and which tokens may come next.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/token_masks.h"

namespace longhaul::grammar {

// Where a text stands: a number, so that going back is keeping it. Of use with its own matcher
// alone.
struct TextState {
  PlaceId place = Machine::kDead;
  bool is_over = false;  // a token ended the text

  bool operator==(const TextState&) const = default;
};

// Not safe to use from several threads; matchers may share their masks.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<TokenMasks> masks);

  TextState start();
  // The state after a token, or after bytes. A token that is not in mask() leads to a state where
  // no token is.
  TextState accept(TextState state, int32_t token);
  TextState accept_bytes(TextState state, std::string_view bytes);
  // True if no text of the language begins so.
  bool is_dead(TextState state) const { return !state.is_over && state.place == Machine::kDead; }
  // The text is whole: it may end here.
  bool is_complete(TextState state) const;
  // The tokens that may come next: those after which the text is one of the language, or can be
  // made one; and where it is whole, those that end it. Valid until the next call.
  const TokenBits& mask(TextState state);

  // True once so much is remembered of the text that it should be forget()ten.
  bool is_large() const;
  // Forgets everything but these states, which get new numbers; others are no longer of use.
  void forget(std::span<TextState> but);

  const TokenTrie& trie() const { return masks_->trie(); }
  // Error: a limit was reached; what was answered since allows nothing.
  const Status& status() const { return status_; }

 private:
  TokenBits make_mask(PlaceId place);
  Status add_config(Config config, TokenBits& bits);
  void add_behind(const NodeMask& mask, PlaceId behind, TokenBits& bits);

  std::shared_ptr<TokenMasks> masks_;
  Machine machine_;
  std::unordered_map<PlaceId, TokenBits> known_;
  TokenBits over_, none_;
  std::vector<PlaceId> path_;
  Status status_;
};

}  // namespace longhaul::grammar
