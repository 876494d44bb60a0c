// The report as one HTML file that needs nothing else: tables and plots, no scripts, no network.
#pragma once

#include <string>

#include "apps/eval/summary.h"

namespace longhaul::eval {

// The plots the summary has numbers for: answers by budget, divergence by length and since the last
// dense pass, recall by budget.
std::string html_report(const nlohmann::ordered_json& plan, const ModelInfo& model,
                        const Summary& summary, const std::vector<Setting>& settings,
                        const std::vector<RecallSetting>& recalls);

}  // namespace longhaul::eval
