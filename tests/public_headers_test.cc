// The public headers alone: this file is compiled with include/ as its only folder of the project,
// each header first in its turn, and must not see {fmt}.
#include "longhaul/calibration.h"
#include "longhaul/device.h"
#include "longhaul/engine.h"
#include "longhaul/grammar.h"
#include "longhaul/options.h"
#include "longhaul/profile.h"
#include "longhaul/result.h"
#ifdef FMT_VERSION
#error "the public headers include {fmt}"
#endif

#include <gtest/gtest.h>

namespace longhaul {
namespace {

TEST(PublicHeaders, ErrorsAreValues) {
  EngineOptions options;
  options.model_path = "/nonexistent.gguf";
  const Result<std::unique_ptr<Engine>> engine = Engine::load(options);
  ASSERT_FALSE(engine.has_value());
  EXPECT_NE(engine.error().message.find("/nonexistent.gguf"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
