#include "grammar/constraint.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "grammar/matcher.h"

namespace longhaul {
namespace {

constexpr size_t kMostRecent = 8;  // grammars whose masks are kept
constexpr size_t kMostBack =
    8'192;  // tokens of a long text that can be taken back: more than drafts
            // ever are

constexpr float kNever = -std::numeric_limits<float>::infinity();

class GrammarConstraint : public TokenConstraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<grammar::TokenMasks> masks)
      : matcher_(std::move(masks)), states_{matcher_.start()} {}

  void restrict(std::span<float> logits) override {
    const grammar::TokenBits& allowed = matcher_.mask(states_.back());
    for (size_t first = 0; first < logits.size(); first += 64) {
      const auto part = logits.subspan(first, std::min<size_t>(64, logits.size() - first));
      // A model may have more logits than its vocabulary has tokens.
      const uint64_t bits = first / 64 < allowed.size() ? allowed[first / 64] : 0;
      if (bits == ~uint64_t{0}) continue;
      for (size_t i = 0; i < part.size(); ++i) {
        if ((bits >> i & 1U) == 0) part[i] = kNever;
      }
    }
  }

  void accept(int32_t token) override {
    if (matcher_.is_large()) {
      const size_t n_kept = std::min(states_.size(), kMostBack + 1);
      states_.erase(states_.begin(), states_.end() - static_cast<std::ptrdiff_t>(n_kept));
      matcher_.forget(states_);
    }
    states_.push_back(matcher_.accept(states_.back(), token));
  }
  void rollback(size_t n_tokens) override {
    LH_CHECK(n_tokens < states_.size());
    states_.resize(states_.size() - n_tokens);
  }
  Status status() const override { return matcher_.status(); }

 private:
  grammar::Matcher matcher_;
  std::vector<grammar::TextState> states_;  // before each of the last tokens, and behind them
};

}  // namespace

GrammarVocabulary::GrammarVocabulary(std::span<const std::string_view> texts,
                                     std::vector<int32_t> ends)
    : trie_(std::make_shared<const grammar::TokenTrie>(texts, std::move(ends))) {}

Result<std::unique_ptr<TokenConstraint>> GrammarVocabulary::constrain(
    std::shared_ptr<const Grammar> grammar) {
  if (trie_->ends().empty())
    return unsupported("grammar: the vocabulary has no token that ends a text");
  return std::make_unique<GrammarConstraint>(masks_of(std::move(grammar)));
}

std::shared_ptr<grammar::TokenMasks> GrammarVocabulary::masks_of(
    std::shared_ptr<const Grammar> grammar) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(recent_.begin(), recent_.end(), [&](const auto& masks) {
    return masks->grammar().fingerprint() == grammar->fingerprint();
  });
  if (known != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, known);
  } else {
    recent_.push_front(std::make_shared<grammar::TokenMasks>(std::move(grammar), trie_));
    if (recent_.size() > kMostRecent) recent_.pop_back();
  }
  return recent_.front();
}

}  // namespace longhaul
