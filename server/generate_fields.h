// The fields that say how to generate, alike for every kind of request.
#pragma once

#include <string_view>

#include "longhaul/engine.h"
#include "server/json_fields.h"

namespace longhaul {

// temperature, top_p, min_p, seed, presence_penalty, frequency_penalty. The targets must outlive the
// readers.
FieldReaders sampling_fields(SamplingOptions& options);

// selector, sparse_ratio, token_budget and so on, the options of docs/modes.md; `mode_name` is the
// field for the mode.
FieldReaders attention_fields(AttentionOptions& options, std::string_view mode_name);

// One of the modes that auto_may takes: dense, resa, sparse.
Result<AttentionMode> parse_auto_may(std::string_view name);

}  // namespace longhaul
