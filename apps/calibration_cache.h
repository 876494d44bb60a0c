// Calibrations of `auto` kept between runs, so that it measures once and then decides the same.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "longhaul/engine.h"

namespace longhaul {

// $XDG_CACHE_HOME/longhaul/calibration.json, or the same under $HOME/.cache; empty without either.
std::string calibration_path();

// Gives the engine the calibration stored in the file at `path` for it, this processor and this
// build of the program; else measures one and stores it. True if it was stored. A file that cannot
// be read or written costs a measurement, never an Error.
Result<bool> use_calibration(Engine& engine, const std::string& path);

nlohmann::ordered_json to_json(const Calibration& calibration);

}  // namespace longhaul
