// A mode decides what a text runs next and what becomes of the logits; each is one file. It knows
// nothing of kernels, of other texts, or of who runs the passes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/matrix_view.h"
#include "engine/text.h"
#include "longhaul/calibration.h"

namespace longhaul {

class Run;

// What a step is for: where its time is counted, and who goes first when not all fit in a pass.
enum class Work : uint8_t {
  kStep,    // the newest token
  kChunk,   // decoded tokens again: rectification, verification
  kPrompt,  // tokens read before decoding
};

struct Planned {
  Step step;
  Work work = Work::kStep;
};

class DecodeMode {
 public:
  virtual ~DecodeMode() = default;

  // The cached tokens that the mode takes as they are; those after them are computed again before
  // it begins. `continues`: the text goes on from where decoding stopped, without new tokens, so
  // that a text in two parts is the text in one.
  virtual size_t clean_from(const Text& text, bool continues) const = 0;
  // The step to run next, at the end of the cache. The first time all tokens but the newest are
  // cached. Of a dense step that does not fit a pass may run the first rows, those without logits,
  // and then plan() is asked again; other steps have at most run.max_rows() rows.
  virtual Planned plan(Run& run) = 0;
  // The step planned last, or its first part, was run; its logits [step.n_logits, vocab_size].
  // Appends tokens that are final.
  virtual Status take(Run& run, const Step& step, MatrixView<const float> logits) = 0;
  // True while there is something to finish before the text may end or another mode take over.
  virtual bool owes(const Run&) const { return false; }
};

std::unique_ptr<DecodeMode> make_dense_mode();
std::unique_ptr<DecodeMode> make_sparse_mode();
// With `period`, which must outlive the mode, it is read at every step in place of the option.
std::unique_ptr<DecodeMode> make_resa_mode(const AttentionOptions& options,
                                           const size_t* period = nullptr);
std::unique_ptr<DecodeMode> make_auto_mode(const Calibration& calibration);
// The mode that the options name. `auto` needs a calibration; `exact` without one drafts always.
std::unique_ptr<DecodeMode> make_mode(const AttentionOptions& options,
                                      const std::optional<Calibration>& calibration = {});

}  // namespace longhaul
