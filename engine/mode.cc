#include "engine/mode.h"

#include "base/check.h"
#include "engine/mode_exact.h"

namespace longhaul {

std::unique_ptr<DecodeMode> make_mode(const AttentionOptions& options,
                                      const std::optional<Calibration>& calibration) {
  switch (options.mode) {
    case AttentionMode::kDense:
      return make_dense_mode();
    case AttentionMode::kSparse:
      return make_sparse_mode();
    case AttentionMode::kResa:
      return make_resa_mode(options);
    case AttentionMode::kExact:
      return std::make_unique<ExactMode>(calibration);
    case AttentionMode::kAuto:
      LH_CHECK(calibration.has_value());
      return make_auto_mode(*calibration);
  }
  LH_CHECK(false);
}

}  // namespace longhaul
