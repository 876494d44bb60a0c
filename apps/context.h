// How long a text may become where nobody said.
#pragma once

#include <cstddef>
#include <functional>

#include "longhaul/engine.h"

namespace longhaul {

// The most tokens up to `trained` whose `needed` bytes, which grow with them, are at most `room`; a
// multiple of 256 unless it is `trained`, and never less than that.
size_t fitting_context(size_t trained, size_t room, const std::function<size_t(size_t)>& needed);

// Fills in a context of 0 tokens where the length the model was trained for would take more than
// three quarters of the memory that is free: as many as that holds, which standard error is told.
// Otherwise, and on a device, it stays 0.
Status settle_context(EngineOptions& options);

// Engine::load() with a settled context, and its warnings on standard error.
Result<std::unique_ptr<Engine>> load_engine(EngineOptions options);

}  // namespace longhaul
