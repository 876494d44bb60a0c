// The summary as one HTML file: a verdict, plots, tables, wrong items and what was asked for.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/eval/summary.h"
#include "apps/eval/wrong.h"

namespace longhaul::eval {

// Where and when a report was made.
struct Provenance {
  std::string date, version, command;
};

struct ReportInput {
  const nlohmann::ordered_json& plan;
  const ModelInfo& model;
  const Summary& summary;
  const std::vector<Setting>& settings;
  const std::vector<RecallSetting>& recalls;
  const std::vector<WrongItem>& wrong;
  Provenance provenance;
};

// Well-formed XML too; fetches nothing and has no scripts.
std::string html_report(const ReportInput& input);

}  // namespace longhaul::eval
