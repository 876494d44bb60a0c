// Calibrations kept between runs, so that `auto` and `exact` measure once and then decide the same.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "longhaul/engine.h"

namespace longhaul {

// $XDG_CACHE_HOME/longhaul/calibration.json, or the same under $HOME/.cache; empty without either.
std::string calibration_path();

struct CalibrationSource {
  bool stored = false;      // by an earlier run; else it was measured now
  int64_t measured_at = 0;  // seconds since 1970; 0: the file does not say
};

// Tells this build and this processor from others, as far as bits and times depend on them.
std::string program_and_processor();

// Gives the engine the calibration stored in the file at `path` for it, this processor and this
// build of the program; without one, or where it is to be renewed, measures and stores it. A file
// that cannot be read or written costs a measurement, never an Error.
Result<CalibrationSource> use_calibration(Engine& engine, const std::string& path,
                                          bool renew = false);

// "costs of passes: measured 3 days ago; --calibrate measures anew".
std::string in_words(const CalibrationSource& source, int64_t now);

// use_calibration() at calibration_path(); what it rests on goes to standard error unless `quiet`.
Status prepare_calibration(Engine& engine, bool renew, bool quiet);

// True if one of the modes, with these options, asks for a calibration.
bool any_needs_calibration(std::span<const AttentionMode> modes, AttentionOptions options);

// --calibrate.
void add_calibrate_flag(CLI::App& app, bool& renew);

nlohmann::ordered_json to_json(const Calibration& calibration);

}  // namespace longhaul
