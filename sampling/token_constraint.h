// What may be drawn next, said from outside of the chain: a grammar, for one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace longhaul {

// The state of one text. The tokens it is told of are those that were drawn; it allows a token by
// the tokens before it alone, so that drafts may be taken back and drawn again.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Sets the logits [vocab_size] of all tokens to -infinity that must not come next.
  virtual void restrict(std::span<float> logits) = 0;
  // A token became part of the text.
  virtual void accept(int32_t token) = 0;
  // Undoes the last `n_tokens` accepts.
  virtual void rollback(size_t n_tokens) = 0;
  // Error: why no token at all was left by the last restrict(), where it is not what the text must
  // look like but a limit that was reached.
  virtual Status status() const = 0;
};

}  // namespace longhaul
