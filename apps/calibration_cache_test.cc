#include "apps/calibration_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace longhaul {
namespace {

std::unique_ptr<Engine> load(size_t block_size) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.block_size = block_size;
  options.n_threads = 1;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine.has_value());
  return std::move(*engine);
}

TEST(CalibrationCache, MeasuresOnceForEachKey) {
  const std::string path = testing::TempDir() + "calibration_cache_test/new/calibration.json";
  std::remove(path.c_str());
  const auto first = load(16);
  EXPECT_FALSE(*use_calibration(*first, path));
  const auto second = load(16);
  EXPECT_TRUE(*use_calibration(*second, path));
  EXPECT_EQ(to_json(*first->calibration()), to_json(*second->calibration()));
  EXPECT_GT(first->calibration()->pass_ms.front(), 0);
  EXPECT_FALSE(*use_calibration(*load(32), path));  // another key
  EXPECT_TRUE(*use_calibration(*load(16), path));   // kept beside it
}

TEST(CalibrationCache, ABadFileCostsAMeasurement) {
  const std::string path = testing::TempDir() + "calibration_cache_test_bad.json";
  const auto engine = load(16);
  for (const char* text : {"", "nonsense", "[1, 2]", "{\"x\": 3}"}) {
    std::ofstream(path) << text;
    EXPECT_FALSE(*use_calibration(*load(16), path)) << text;
  }
  EXPECT_FALSE(*use_calibration(*engine, ""));
  EXPECT_FALSE(*use_calibration(*engine, "/proc/none/calibration.json"));
}

}  // namespace
}  // namespace longhaul
