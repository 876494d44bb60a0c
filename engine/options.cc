// Names of modes and types, and the check of attention options.
#include <fmt/ranges.h>

#include <array>

#include "attention/selector.h"
#include "longhaul/engine.h"

namespace longhaul {
namespace {

template <class T>
struct Named {
  T value;
  std::string_view name;
};

constexpr std::array kModes = {
    Named<AttentionMode>{AttentionMode::kDense, "dense"},
    Named<AttentionMode>{AttentionMode::kSparse, "sparse"},
    Named<AttentionMode>{AttentionMode::kResa, "resa"},
    Named<AttentionMode>{AttentionMode::kExact, "exact"},
    Named<AttentionMode>{AttentionMode::kAuto, "auto"},
};
constexpr std::array kPoolings = {
    Named<Pooling>{Pooling::kMean, "mean"},
    Named<Pooling>{Pooling::kLast, "last"},
};
constexpr std::array kRectifyKinds = {
    Named<RectifyKind>{RectifyKind::kDense, "dense"},
    Named<RectifyKind>{RectifyKind::kWide, "wide"},
    Named<RectifyKind>{RectifyKind::kAdaptive, "adaptive"},
};
constexpr std::array kKvTypes = {
    Named<KvType>{KvType::kF16, "f16"},
    Named<KvType>{KvType::kQ8_0, "q8_0"},
};

template <class T, size_t N>
std::string_view name_of(const std::array<Named<T>, N>& table, T value) {
  for (const auto& row : table) {
    if (row.value == value) return row.name;
  }
  return "unknown";
}

template <class T, size_t N>
Result<T> value_of(const std::array<Named<T>, N>& table, std::string_view name,
                   std::string_view what) {
  std::vector<std::string_view> names;
  for (const auto& row : table) {
    if (row.name == name) return row.value;
    names.push_back(row.name);
  }
  return bad_input("{}: expected one of {}, found '{}'", what, fmt::join(names, ", "), name);
}

Status validate_threshold(const AttentionOptions& options) {
  const double threshold = options.gate_threshold;
  if (!(threshold >= 0.0 && threshold < 1.0))
    return bad_input("gate threshold: expected 0 (off) to below 1, found {}", threshold);
  if (threshold == 0.0) return {};
  if (!find_selector(options.selector)->gives_logits) {
    return bad_input("gate threshold: expected the selector gate, found '{}'", options.selector);
  }
  if (options.token_budget != 0) {
    return bad_input("gate threshold: expected no token budget beside it, found {}",
                     options.token_budget);
  }
  if (options.mode == AttentionMode::kAuto) {
    return bad_input(
        "gate threshold: expected a mode other than auto, which cannot tell beforehand how many "
        "blocks a threshold reads");
  }
  return {};
}

}  // namespace

std::string_view to_string(AttentionMode mode) { return name_of(kModes, mode); }
std::string_view to_string(Pooling pooling) { return name_of(kPoolings, pooling); }
std::string_view to_string(RectifyKind kind) { return name_of(kRectifyKinds, kind); }
std::string_view to_string(KvType type) { return name_of(kKvTypes, type); }
std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Result<AttentionMode> parse_attention_mode(std::string_view name) {
  return value_of(kModes, name, "attention mode");
}
Result<Pooling> parse_pooling(std::string_view name) {
  return value_of(kPoolings, name, "pooling");
}
Result<RectifyKind> parse_rectify_kind(std::string_view name) {
  return value_of(kRectifyKinds, name, "rectification");
}
Result<KvType> parse_kv_type(std::string_view name) { return value_of(kKvTypes, name, "KV type"); }

std::vector<std::string_view> selector_names() {
  std::vector<std::string_view> names;
  for (const Selector* selector : all_selectors()) names.push_back(selector->name);
  return names;
}

bool needs_calibration(const AttentionOptions& options) {
  return options.mode == AttentionMode::kAuto ||
         (options.mode == AttentionMode::kExact && !options.always_draft);
}

Status validate(const AttentionOptions& options, size_t block_size) {
  if (find_selector(options.selector) == nullptr) {
    return bad_input("selector: expected one of {}, found '{}'", fmt::join(selector_names(), ", "),
                     options.selector);
  }
  if (!(options.sparse_ratio > 0.0 && options.sparse_ratio <= 1.0)) {
    return bad_input("sparse ratio: expected more than 0 and at most 1, found {}",
                     options.sparse_ratio);
  }
  if (options.token_budget != 0 && options.token_budget < block_size) {
    return bad_input("token budget: expected at least one block of {} tokens, found {}", block_size,
                     options.token_budget);
  }
  LH_RETURN_IF_ERROR(validate_threshold(options));
  if (options.rectify_every == 0)
    return bad_input("rectify every: expected at least 1 token, found 0");
  if (!(options.rectify_ratio > 0.0 && options.rectify_ratio <= 1.0)) {
    return bad_input("rectify ratio: expected more than 0 and at most 1, found {}",
                     options.rectify_ratio);
  }
  if (!(options.rectify_tolerance >= 0.0 && options.rectify_tolerance <= 1.0)) {
    return bad_input("rectify tolerance: expected 0 to 1, found {}", options.rectify_tolerance);
  }
  if (options.local_blocks == 0) {
    return bad_input("local blocks: expected at least 1 (a token must see itself), found 0");
  }
  return {};
}

}  // namespace longhaul
