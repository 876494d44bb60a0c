// The plots of the report: of each measure over the budget, over the length, or at one setting.
#pragma once

#include <string>
#include <vector>

#include "apps/eval/summary.h"

namespace longhaul::eval {

// SVG elements, in the order of the measures and texts.
std::vector<std::string> plots(const Summary& summary, const std::vector<Setting>& settings,
                               const std::vector<RecallSetting>& recalls);

// The class of a mode's colour, and of a selector's.
std::string color_of(AttentionMode mode);
std::string color_of(std::string_view selector);

}  // namespace longhaul::eval
