#include "attention/setup.h"

#include <algorithm>

#include "attention/selector.h"

namespace longhaul {
namespace {

bool is_kept(const Selector& selector, const SelectorSetup& setup) {
  if (selector.keeps == nullptr) return false;
  return selector.learned ||
         std::find(setup.kept.begin(), setup.kept.end(), selector.name) != setup.kept.end();
}

}  // namespace

Result<std::vector<SummaryPlan>> plan_summaries(const SelectorSetup& setup) {
  std::vector<SummaryPlan> plans;
  for (const Selector* selector : all_selectors()) {
    if (!is_kept(*selector, setup)) continue;
    LH_ASSIGN_OR_RETURN(SummaryPlan plan, selector->keeps->plan(setup));
    if (plan.spec.group_bytes > 0) plans.push_back(std::move(plan));
  }
  return plans;
}

Result<std::vector<std::unique_ptr<Summary>>> make_summaries(const SelectorSetup& setup,
                                                             const RopeAngles& rope) {
  std::vector<std::unique_ptr<Summary>> summaries;
  for (const Selector* selector : all_selectors()) {
    if (!is_kept(*selector, setup)) continue;
    LH_ASSIGN_OR_RETURN(std::unique_ptr<Summary> summary, selector->keeps->make(setup, rope));
    if (summary != nullptr) summaries.push_back(std::move(summary));
  }
  return summaries;
}

std::vector<SummarySpec> specs_of(const std::vector<std::unique_ptr<Summary>>& summaries) {
  std::vector<SummarySpec> specs;
  for (const auto& summary : summaries) specs.push_back(summary->spec());
  return specs;
}

std::vector<SummarySpec> specs_of(const std::vector<SummaryPlan>& plans) {
  std::vector<SummarySpec> specs;
  for (const SummaryPlan& plan : plans) specs.push_back(plan.spec);
  return specs;
}

}  // namespace longhaul
