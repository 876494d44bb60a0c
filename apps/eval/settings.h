// The settings that are compared: one row of a table each.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "apps/eval/plan.h"

namespace longhaul::eval {

// What an engine is loaded for; settings that share it share the prompt's pass too.
struct EngineKey {
  KvType kv_type = KvType::kF16;
  size_t block_size = 16;
  auto operator<=>(const EngineKey&) const = default;
};

struct Setting {
  std::string name;  // "resa minmax 10% b16 f32 f16"; unique
  EngineKey engine;
  AttentionOptions attention;

  bool is_dense() const { return attention.mode == AttentionMode::kDense; }
  // exact and auto say what dense says, so that a fixed text teaches nothing about them.
  bool can_be_forced() const;
};

// The cross product of the plan's lists, without combinations that would be the same: dense has no
// blocks, `sparse` no period. Checked: every setting is one the engine accepts.
Result<std::vector<Setting>> make_settings(const Plan& plan);

// The selectors and budgets whose recall is measured: one setting each, of mode dense, with the
// plan's selectors and the oracle listed in `recall_of`.
struct RecallSetting {
  std::string name;  // "10% b16 f16"
  EngineKey engine;
  AttentionOptions attention;
};
std::vector<RecallSetting> make_recall_settings(const Plan& plan);
std::vector<std::string> recall_selectors(const Plan& plan);

// "10%", "512 tokens" or, for a threshold, "S>0.001".
std::string budget_name(const AttentionOptions& attention);

}  // namespace longhaul::eval
