// dense: every step reads every block. sparse: every step reads the selected blocks, and nothing
// repairs the cache.
#include "engine/decode.h"

namespace longhaul {
namespace {

class DenseMode : public DecodeMode {
 public:
  Status step(DecodeContext& context) override {
    LH_ASSIGN_OR_RETURN(const auto logits, context.dense_step());
    return context.append_sample(logits);
  }
};

class SparseMode : public DecodeMode {
 public:
  Status step(DecodeContext& context) override {
    LH_ASSIGN_OR_RETURN(const auto logits, context.sparse_step());
    return context.append_sample(logits);
  }
};

}  // namespace

std::unique_ptr<DecodeMode> make_dense_mode() { return std::make_unique<DenseMode>(); }
std::unique_ptr<DecodeMode> make_sparse_mode() { return std::make_unique<SparseMode>(); }

}  // namespace longhaul
