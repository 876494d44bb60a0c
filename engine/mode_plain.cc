// dense: every step reads every block. sparse: every step reads the selected blocks, and nothing
// repairs the cache; where those are all of them, it is a dense step.
#include "engine/run.h"

namespace longhaul {
namespace {

class DenseMode : public DecodeMode {
 public:
  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  Planned plan(Run& run) override { return run.dense_step(); }
  Status take(Run& run, const Step&, MatrixView<const float> logits) override {
    return run.append({logits.row(0), logits.n_cols});
  }
};

class SparseMode : public DecodeMode {
 public:
  size_t clean_from(const Text& text, bool) const override { return text.n_cached(); }
  Planned plan(Run& run) override {
    if (run.selects_everything()) return run.dense_step();
    Text& text = run.text();
    if (!text.sparse_is_clean() && text.n_clean() == text.n_cached()) text.mark();
    return run.sparse_step();
  }
  Status take(Run& run, const Step&, MatrixView<const float> logits) override {
    return run.append({logits.row(0), logits.n_cols});
  }
};

}  // namespace

std::unique_ptr<DecodeMode> make_dense_mode() { return std::make_unique<DenseMode>(); }
std::unique_ptr<DecodeMode> make_sparse_mode() { return std::make_unique<SparseMode>(); }

}  // namespace longhaul
