// A test that runs once for every SIMD target of this processor.
#pragma once

#include "hwy/tests/hwy_gtest.h"

namespace longhaul {

// Derive the suite from it, then HWY_TARGET_INSTANTIATE_TEST_SUITE_P(Suite) and TEST_P as usual.
class PerTargetTest : public hwy::TestWithParamTarget {
 protected:
  // Highway's fixture disables targets; kernels dispatch by what was chosen last.
  void SetUp() override {
    hwy::TestWithParamTarget::SetUp();
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    hwy::TestWithParamTarget::TearDown();
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

}  // namespace longhaul
