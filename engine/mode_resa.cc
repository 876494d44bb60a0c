// ReSA (arXiv 2506.04108): sparse steps, and every rectify_every tokens one dense pass over the
// tokens decoded since the last one, which rewrites their K and V. Counted from the last rectified
// token, so that truncation cannot break the rhythm. --rectify wide and adaptive read fewer blocks
// in that pass.
#include "engine/decode.h"

namespace longhaul {
namespace {

class ResaMode : public DecodeMode {
 public:
  explicit ResaMode(const size_t* period) : period_(period) {}

  Status step(DecodeContext& context) override {
    Text& state = context.state;
    // While the budget covers every block, a step is dense and leaves nothing to rectify.
    if (context.selects_everything() && state.n_rectified == state.cache.n_tokens()) {
      LH_ASSIGN_OR_RETURN(const auto logits, context.dense_step());
      return context.append_sample(logits);
    }
    const size_t period = period_ != nullptr ? *period_ : context.options.rectify_every;
    LH_ASSIGN_OR_RETURN(const auto logits, context.sparse_step());
    LH_RETURN_IF_ERROR(context.append_sample(logits));
    if (state.cache.n_tokens() - state.n_rectified >= period) {
      LH_RETURN_IF_ERROR(context.rectify());
    }
    return {};
  }

 private:
  const size_t* period_;
};

}  // namespace

std::unique_ptr<DecodeMode> make_resa_mode(const size_t* period) {
  return std::make_unique<ResaMode>(period);
}

}  // namespace longhaul
