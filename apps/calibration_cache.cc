#include "apps/calibration_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/bench_machine.h"
#include "base/result.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Number {
  std::string name;
  double* value;
};

// All that a calibration holds, under the names of the file.
std::vector<Number> numbers_of(Calibration& calibration) {
  std::vector<Number> numbers;
  for (size_t i = 0; i < kCalibratedRows.size(); ++i) {
    numbers.push_back({fmt::format("pass_ms_{}", kCalibratedRows[i]), &calibration.pass_ms[i]});
    numbers.push_back(
        {fmt::format("attention_ns_{}", kCalibratedRows[i]), &calibration.attention_ns[i]});
  }
  numbers.push_back({"sparse_ns", &calibration.sparse_ns});
  numbers.push_back({"select_ns", &calibration.select_ns});
  return numbers;
}

// A build is told from the next by the size and time of its program file.
std::string program_stamp() {
  std::error_code error;
  const fs::path program = "/proc/self/exe";
  const auto n_bytes = fs::file_size(program, error);
  const auto time = fs::last_write_time(program, error);
  return error ? "unknown" : fmt::format("{}@{}", n_bytes, time.time_since_epoch().count());
}

Json read_file(const std::string& path) {
  std::ifstream in(path);
  Json document = Json::parse(in, nullptr, false);
  return document.is_object() ? document : Json::object();
}

std::optional<Calibration> calibration_from(const Json& json) {
  Calibration calibration;
  for (const Number& number : numbers_of(calibration)) {
    const auto found = json.find(number.name);
    if (found == json.end() || !found->is_number() || !(found->get<double>() >= 0))
      return std::nullopt;
    *number.value = found->get<double>();
  }
  return calibration;
}

std::optional<Calibration> find(const Json& document, const std::string& key) {
  const auto entry = document.find(key);
  if (entry == document.end() || !entry->is_object()) return std::nullopt;
  return calibration_from(*entry);
}

constexpr const char* kTimeName = "measured_at";  // beside a calibration's numbers

int64_t time_of(const Json& entry) {
  const auto found = entry.find(kTimeName);
  return found != entry.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

// Replaces the file as a whole, so that a reader never finds half of it.
void write_file(const std::string& path, const Json& document) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  std::ofstream out(temporary);
  out << document.dump(1) << "\n";
  out.close();
  if (out) fs::rename(temporary, path, error);
  if (!out || error) fs::remove(temporary, error);
}

}  // namespace

std::string program_and_processor() { return fmt::format("{}; {}", cpu_name(), program_stamp()); }

std::string calibration_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return fmt::format("{}/longhaul/calibration.json", cache);
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0')
    return fmt::format("{}/.cache/longhaul/calibration.json", home);
  return "";
}

Result<CalibrationSource> use_calibration(Engine& engine, const std::string& path, bool renew) {
  const std::string key = fmt::format("{}; {}", engine.calibration_key(), program_and_processor());
  if (!renew && !path.empty()) {
    const Json document = read_file(path);
    if (const auto stored = find(document, key)) {
      engine.set_calibration(*stored);
      return CalibrationSource{true, time_of(document[key])};
    }
  }
  LH_ASSIGN_OR_RETURN(const Calibration measured, engine.calibration());
  const CalibrationSource source{false, static_cast<int64_t>(std::time(nullptr))};
  if (!path.empty()) {
    Json document = read_file(path);
    document[key] = to_json(measured);
    document[key][kTimeName] = source.measured_at;
    write_file(path, document);
  }
  return source;
}

std::string in_words(const CalibrationSource& source, int64_t now) {
  if (!source.stored) return "costs of passes: measured now";
  constexpr int64_t kHour = 3600, kDay = 24 * kHour;
  const int64_t age = now - source.measured_at;
  std::string when = "at an unknown time";
  if (source.measured_at > 0 && age >= 0) {
    when = age < kHour      ? "less than an hour ago"
           : age < 2 * kDay ? fmt::format("{} h ago", age / kHour)
                            : fmt::format("{} days ago", age / kDay);
  }
  return fmt::format("costs of passes: measured {}; --calibrate measures anew", when);
}

Status prepare_calibration(Engine& engine, bool renew, bool quiet) {
  LH_ASSIGN_OR_RETURN(const CalibrationSource source,
                      use_calibration(engine, calibration_path(), renew));
  if (!quiet) {
    fmt::print(stderr, "[{}]\n", in_words(source, static_cast<int64_t>(std::time(nullptr))));
  }
  return {};
}

bool any_needs_calibration(std::span<const AttentionMode> modes, AttentionOptions options) {
  return std::any_of(modes.begin(), modes.end(), [&](AttentionMode mode) {
    options.mode = mode;
    return needs_calibration(options);
  });
}

void add_calibrate_flag(CLI::App& app, bool& renew) {
  app.add_flag("--calibrate", renew,
               "auto, exact: measure the costs they decide by anew, and keep them");
}

nlohmann::ordered_json to_json(const Calibration& calibration) {
  Json json = Json::object();
  Calibration copy = calibration;
  for (const Number& number : numbers_of(copy)) json[number.name] = *number.value;
  return json;
}

}  // namespace longhaul
