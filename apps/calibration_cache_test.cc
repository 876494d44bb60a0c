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
  const auto measured = use_calibration(*first, path);
  EXPECT_FALSE(measured->stored);
  const auto second = load(16);
  const auto stored = use_calibration(*second, path);
  EXPECT_TRUE(stored->stored);
  EXPECT_EQ(stored->measured_at, measured->measured_at);
  EXPECT_EQ(to_json(*first->calibration()), to_json(*second->calibration()));
  EXPECT_GT(first->calibration()->pass_ms.front(), 0);
  EXPECT_FALSE(use_calibration(*load(32), path)->stored);        // another key
  EXPECT_TRUE(use_calibration(*load(16), path)->stored);         // kept beside it
  EXPECT_FALSE(use_calibration(*load(16), path, true)->stored);  // renewed
  EXPECT_TRUE(use_calibration(*load(16), path)->stored);
}

TEST(CalibrationCache, ItsAgeIsSaid) {
  EXPECT_EQ(in_words({false, 1000}, 1000), "costs of passes: measured now");
  const auto age = [](int64_t then, int64_t now) {
    const std::string words = in_words({true, then}, now);
    EXPECT_TRUE(words.ends_with("; --calibrate measures anew"));
    return words.substr(0, words.find(';'));
  };
  const std::string of = "costs of passes: measured ";
  EXPECT_EQ(age(1000, 1060), of + "less than an hour ago");
  EXPECT_EQ(age(1000, 1000 + 5 * 3600), of + "5 h ago");
  EXPECT_EQ(age(1000, 1000 + 3 * 86400), of + "3 days ago");
  EXPECT_EQ(age(0, 1000), of + "at an unknown time");
}

TEST(CalibrationCache, ABadFileCostsAMeasurement) {
  const std::string path = testing::TempDir() + "calibration_cache_test_bad.json";
  const auto engine = load(16);
  for (const char* text : {"", "nonsense", "[1, 2]", "{\"x\": 3}"}) {
    std::ofstream(path) << text;
    EXPECT_FALSE(use_calibration(*load(16), path)->stored) << text;
  }
  EXPECT_FALSE(use_calibration(*engine, "")->stored);
  EXPECT_FALSE(use_calibration(*engine, "/proc/none/calibration.json")->stored);
}

}  // namespace
}  // namespace longhaul
