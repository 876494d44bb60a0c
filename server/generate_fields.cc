#include "server/generate_fields.h"

namespace longhaul {

FieldReaders sampling_fields(SamplingOptions& options) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return {{"temperature", real(options.temperature, 0)},
          {"top_p", real(options.top_p, 0, 1)},
          {"min_p", real(options.min_p, 0, 1)},
          {"seed", seed(options.seed)},
          {"presence_penalty", real(options.presence_penalty, -kMost)},
          {"frequency_penalty", real(options.frequency_penalty, -kMost)}};
}

FieldReaders attention_fields(AttentionOptions& options, std::string_view mode_name) {
  return {{mode_name, named(options.mode, parse_attention_mode)},
          {"selector", text(options.selector)},
          {"sparse_ratio", real(options.sparse_ratio, 0, 1)},
          {"token_budget", count(options.token_budget)},
          {"gate_threshold", real(options.gate_threshold, 0, 1)},
          {"min_blocks", count(options.min_blocks)},
          {"local_blocks", count(options.local_blocks)},
          {"sink_blocks", count(options.sink_blocks)},
          {"rectify_every", count(options.rectify_every, 1)},
          {"always_draft", flag(options.always_draft)},
          {"auto_may", named(options.auto_may, parse_auto_may)},
          {"rectify", named(options.rectify, parse_rectify_kind)},
          {"rectify_ratio", real(options.rectify_ratio, 0, 1)},
          {"rectify_tolerance", real(options.rectify_tolerance, 0, 1)}};
}

Result<AttentionMode> parse_auto_may(std::string_view name) {
  for (const auto mode : {AttentionMode::kDense, AttentionMode::kResa, AttentionMode::kSparse}) {
    if (to_string(mode) == name) return mode;
  }
  return bad_input("expected one of dense, resa, sparse, found '{}'", name);
}

}  // namespace longhaul
