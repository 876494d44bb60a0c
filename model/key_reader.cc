#include "model/key_reader.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace longhaul {
namespace {

// Keys that carry no arithmetic: what they say is said by a tensor's shape or by another key, or is
// of use to training alone.
constexpr std::string_view kIdleKeys[] = {
    "vocab_size",              // rows of the embedding
    "rope.scaling.finetuned",  // how the weights came to be
    "tensor_data_layout",      // a note of old converters
};

// Keys that say nothing new at one value, which means "this model does not have it" (or "is as all
// others are").
struct NeutralKey {
  std::string_view suffix;
  double value;
  std::string_view feature;  // what another value means
};
constexpr NeutralKey kNeutralKeys[] = {
    {"attention.causal", 1, "attention to later tokens"},
    {"attention.clamp_kqv", 0, "clamped q, k and v"},
    {"attention.scale", 0, "a custom attention scale"},
    {"attention.sliding_window", 0, "sliding-window attention"},
    {"attn_logit_softcapping", 0, "soft-capped attention logits"},
    {"embedding_scale", 0, "scaled embeddings"},
    {"expert_count", 0, "mixture of experts"},
    {"expert_gating_func", 1, "a router without softmax"},
    {"expert_group_count", 0, "grouped experts"},
    {"expert_group_used_count", 0, "grouped experts"},
    {"expert_shared_count", 0, "shared experts"},
    {"expert_used_count", 0, "mixture of experts"},
    {"expert_weights_scale", 0, "scaled expert weights"},
    {"final_logit_softcapping", 0, "soft-capped logits"},
    {"leading_dense_block_count", 0, "experts in some layers only"},
    {"logit_scale", 0, "scaled logits"},
    {"residual_scale", 0, "scaled residuals"},
    {"use_parallel_residual", 0, "attention and feed-forward side by side"},
};

// Numbers and booleans as a double.
std::optional<double> number(const GgufValue& value) {
  if (const auto flag = value.to_bool()) return *flag ? 1.0 : 0.0;
  return value.to_f64();
}

}  // namespace

KeyReader::KeyReader(const GgufFile& file, std::string_view architecture)
    : file_(file), prefix_(fmt::format("{}.", architecture)) {}

std::string KeyReader::key(std::string_view suffix) const {
  return fmt::format("{}{}", prefix_, suffix);
}

std::string KeyReader::read(std::string_view suffix) {
  read_.emplace(suffix);
  return key(suffix);
}

Result<size_t> KeyReader::size(std::string_view suffix, size_t max) {
  const std::string name = read(suffix);
  LH_ASSIGN_OR_RETURN(const uint64_t value, file_.get_u64(name));
  if (value == 0 || value > max) {
    return bad_input("{}: key '{}': expected 1 to {}, found {}", path(), name, max, value);
  }
  return static_cast<size_t>(value);
}

Result<size_t> KeyReader::size_or(std::string_view suffix, size_t max, size_t fallback) {
  if (!has(suffix)) return fallback;
  return size(suffix, max);
}

Result<size_t> KeyReader::count_or(std::string_view suffix, size_t max, size_t fallback) {
  const std::string name = read(suffix);
  LH_ASSIGN_OR_RETURN(const uint64_t value, file_.get_u64_or(name, fallback));
  if (value > max)
    return bad_input("{}: key '{}': expected 0 to {}, found {}", path(), name, max, value);
  return static_cast<size_t>(value);
}

Result<double> KeyReader::f64(std::string_view suffix, const Bounds& bounds) {
  const std::string name = read(suffix);
  LH_ASSIGN_OR_RETURN(const double value, file_.get_f64(name));
  if (bounds.contains(value)) return value;
  return bad_input("{}: key '{}': expected {} {}, at most {}, found {}", path(), name,
                   bounds.may_be_least ? "at least" : "more than", bounds.least, bounds.most,
                   value);
}

Result<double> KeyReader::f64_or(std::string_view suffix, const Bounds& bounds, double fallback) {
  if (!has(suffix)) return fallback;
  return f64(suffix, bounds);
}

Result<bool> KeyReader::bool_or(std::string_view suffix, bool fallback) {
  return file_.get_bool_or(read(suffix), fallback);
}

Result<std::vector<float>> KeyReader::f32_array(std::string_view suffix, size_t n_expected) {
  const std::string name = read(suffix);
  LH_ASSIGN_OR_RETURN(std::vector<float> numbers, file_.get_f32_array(name));
  if (numbers.size() != n_expected) {
    return bad_input("{}: key '{}': expected {} numbers, found {}", path(), name, n_expected,
                     numbers.size());
  }
  for (const float number : numbers) {
    if (!std::isfinite(number))
      return bad_input("{}: key '{}': expected finite numbers, found {}", path(), name, number);
  }
  return numbers;
}

Result<std::string_view> KeyReader::string_or(std::string_view suffix, std::string_view fallback) {
  return file_.get_string_or(read(suffix), fallback);
}

Status KeyReader::refuse_unread() const {
  for (const auto& [name, value] : file_.metadata()) {
    if (!name.starts_with(prefix_)) continue;
    const std::string_view suffix = std::string_view(name).substr(prefix_.size());
    if (read_.contains(suffix)) continue;
    if (std::find(std::begin(kIdleKeys), std::end(kIdleKeys), suffix) != std::end(kIdleKeys))
      continue;
    const auto* neutral = std::find_if(std::begin(kNeutralKeys), std::end(kNeutralKeys),
                                       [&](const NeutralKey& k) { return k.suffix == suffix; });
    if (neutral == std::end(kNeutralKeys)) {
      return unsupported(
          "{}: key '{}' is {}: this architecture does not know the key, and what it says would be "
          "left out of the computation",
          path(), name, describe(value));
    }
    if (number(value) != neutral->value) {
      return unsupported("{}: key '{}': expected {} or no such key, found {}: {} is not supported",
                         path(), name, neutral->value, describe(value), neutral->feature);
    }
  }
  return {};
}

}  // namespace longhaul
