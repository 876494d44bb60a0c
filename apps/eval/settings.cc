#include "apps/eval/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/result.h"

namespace longhaul::eval {
namespace {

// The budgets of the plan, each as the options that say it.
std::vector<AttentionOptions> budgets(const Plan& plan) {
  std::vector<AttentionOptions> list;
  AttentionOptions options = plan.attention;
  for (const double ratio : plan.ratios) {
    options.sparse_ratio = ratio;
    list.push_back(options);
  }
  options = plan.attention;
  for (const size_t n_tokens : plan.token_budgets) {
    options.token_budget = n_tokens;
    list.push_back(options);
  }
  options = plan.attention;
  for (const double threshold : plan.gate_thresholds) {
    options.gate_threshold = threshold;
    list.push_back(options);
  }
  if (list.empty()) list.push_back(plan.attention);
  return list;
}

bool has_period(AttentionMode mode) {
  return mode != AttentionMode::kDense && mode != AttentionMode::kSparse;
}

std::string name_of(const Setting& setting) {
  const AttentionOptions& attention = setting.attention;
  std::string name(to_string(attention.mode));
  if (!setting.is_dense()) {
    name += fmt::format(" {} {} b{}", attention.selector, budget_name(attention),
                        setting.engine.block_size);
  }
  if (has_period(attention.mode)) name += fmt::format(" f{}", attention.rectify_every);
  const bool partial = attention.rectify != RectifyKind::kDense;
  if (attention.mode == AttentionMode::kResa && partial) {
    name += " " + std::string(to_string(attention.rectify));
  }
  return name + " " + std::string(to_string(setting.engine.kv_type));
}

// Every combination of the plan's lists, in the order of the table.
template <class Visit>
void for_each_combination(const Plan& plan, Visit visit) {
  for (const KvType kv_type : plan.kv_types)
    for (const AttentionMode mode : plan.modes)
      for (const std::string& selector : plan.selectors)
        for (const size_t block_size : plan.block_sizes)
          for (const AttentionOptions& budget : budgets(plan))
            for (const size_t period : plan.periods)
              for (const RectifyKind rectify : plan.rectify) {
                if (budget.gate_threshold > 0 && selector != "gate") continue;
                Setting setting{{}, {kv_type, block_size}, budget};
                setting.attention.mode = mode;
                setting.attention.selector = selector;
                setting.attention.rectify_every = period;
                setting.attention.rectify = rectify;
                visit(std::move(setting));
              }
}

}  // namespace

bool Setting::can_be_forced() const {
  return attention.mode != AttentionMode::kExact && attention.mode != AttentionMode::kAuto;
}

std::string budget_name(const AttentionOptions& attention) {
  if (attention.gate_threshold > 0) return fmt::format("S>{:.4g}", attention.gate_threshold);
  if (attention.token_budget > 0) return fmt::format("{} tokens", attention.token_budget);
  return fmt::format("{:.4g}%", attention.sparse_ratio * 100);
}

Result<std::vector<Setting>> make_settings(const Plan& plan) {
  std::vector<Setting> settings;
  std::set<std::string> names;
  Status status;
  for_each_combination(plan, [&](Setting setting) {
    setting.name = name_of(setting);
    if (!names.insert(setting.name).second || !status) return;
    // The dense rows of all block sizes are one: the first engine of their KV type runs it.
    status = validate(setting.attention, setting.engine.block_size);
    if (!status) status.error().message = setting.name + ": " + status.error().message;
    settings.push_back(std::move(setting));
  });
  LH_RETURN_IF_ERROR(std::move(status));
  return settings;
}

std::vector<RecallSetting> make_recall_settings(const Plan& plan) {
  std::vector<RecallSetting> settings;
  std::set<std::string> names;
  for_each_combination(plan, [&](const Setting& combination) {
    if (combination.attention.gate_threshold > 0) return;  // recall is compared at one budget
    RecallSetting setting{
        fmt::format("{} b{} {}", budget_name(combination.attention), combination.engine.block_size,
                    to_string(combination.engine.kv_type)),
        combination.engine, combination.attention};
    setting.attention.mode = AttentionMode::kDense;
    if (names.insert(setting.name).second) settings.push_back(std::move(setting));
  });
  return settings;
}

std::vector<std::string> recall_selectors(const Plan& plan) {
  std::vector<std::string> selectors = plan.selectors;
  if (std::find(selectors.begin(), selectors.end(), "oracle") == selectors.end()) {
    selectors.emplace_back("oracle");
  }
  return selectors;
}

}  // namespace longhaul::eval
