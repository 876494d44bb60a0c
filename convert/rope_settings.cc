#include "convert/rope_settings.h"

#include <cmath>
#include <numbers>

namespace longhaul {
namespace {

constexpr size_t kMaxContext = 1U << 28;

Status read_yarn(const JsonFields& fields, RopeSettings& rope) {
  LH_ASSIGN_OR_RETURN(rope.beta_fast, fields.number_or("beta_fast", 32));
  LH_ASSIGN_OR_RETURN(rope.beta_slow, fields.number_or("beta_slow", 1));
  // What readers of GGUF files multiply by themselves; a file may ask for another number.
  const double usual = 0.1 * std::log(rope.factor) + 1;
  LH_ASSIGN_OR_RETURN(const double attention, fields.number_or("attention_factor", usual));
  rope.attn_factor = attention / usual;
  LH_ASSIGN_OR_RETURN(const bool truncates, fields.flag_or("truncate", true));
  if (!truncates) return fields.wrong("truncate", "true or no such key");
  for (const char* key : {"mscale", "mscale_all_dim"}) {
    if (fields.has(key)) return fields.wrong(key, "no such key");
  }
  return {};
}

Status read_llama3(const JsonFields& fields, RopeSettings& rope) {
  LH_ASSIGN_OR_RETURN(rope.low_freq_factor, fields.number("low_freq_factor"));
  LH_ASSIGN_OR_RETURN(rope.high_freq_factor, fields.number("high_freq_factor"));
  if (rope.low_freq_factor <= 0) return fields.wrong("low_freq_factor", "more than 0");
  if (rope.high_freq_factor <= rope.low_freq_factor)
    return fields.wrong("high_freq_factor", fmt::format("more than {}", rope.low_freq_factor));
  return {};
}

}  // namespace

Result<RopeSettings> read_rope_settings(const JsonFields& config, const Json* parameters,
                                        size_t context) {
  RopeSettings rope;
  LH_ASSIGN_OR_RETURN(rope.theta, config.number_or("rope_theta", rope.theta));
  if (parameters != nullptr) {
    LH_ASSIGN_OR_RETURN(const JsonFields fields,
                        JsonFields::of(*parameters, config.file(), "rope_scaling."));
    LH_ASSIGN_OR_RETURN(rope.theta, fields.number_or("rope_theta", rope.theta));
    LH_ASSIGN_OR_RETURN(const std::string old_type, fields.text_or("type", "default"));
    LH_ASSIGN_OR_RETURN(rope.type, fields.text_or("rope_type", old_type));
    if (rope.type == "default") return rope;
    if (rope.type != "linear" && rope.type != "yarn" && rope.type != "llama3")
      return fields.wrong(fields.has("rope_type") ? "rope_type" : "type",
                          "default, linear, yarn or llama3");
    LH_ASSIGN_OR_RETURN(rope.factor, fields.number("factor"));
    if (rope.factor < 1) return fields.wrong("factor", "at least 1");
    LH_ASSIGN_OR_RETURN(rope.original_context,
                        fields.size_or("original_max_position_embeddings", kMaxContext, context));
    if (rope.type == "yarn") LH_RETURN_IF_ERROR(read_yarn(fields, rope));
    if (rope.type == "llama3") LH_RETURN_IF_ERROR(read_llama3(fields, rope));
  }
  return rope;
}

void set_rope_keys(const RopeSettings& rope, const std::string& prefix, GgufWriter& writer) {
  const auto key = [&](std::string_view suffix) {
    return fmt::format("{}.rope.{}", prefix, suffix);
  };
  const auto number = [&](std::string_view suffix, double value) {
    writer.set_f32(key(suffix), static_cast<float>(value));
  };
  number("freq_base", rope.theta);
  if (rope.type != "linear" && rope.type != "yarn") return;  // llama3 is a tensor
  writer.set_string(key("scaling.type"), rope.type);
  number("scaling.factor", rope.factor);
  if (rope.type == "linear") return;
  writer.set_u32(key("scaling.original_context_length"),
                 static_cast<uint32_t>(rope.original_context));
  if (std::abs(rope.attn_factor - 1) > 1e-6) number("scaling.attn_factor", rope.attn_factor);
  if (rope.beta_fast != 32) number("scaling.yarn_beta_fast", rope.beta_fast);
  if (rope.beta_slow != 1) number("scaling.yarn_beta_slow", rope.beta_slow);
}

std::vector<float> llama3_divisors(const RopeSettings& rope, size_t n_rot) {
  const auto context = static_cast<double>(rope.original_context);
  std::vector<float> divisors;
  for (size_t i = 0; i < n_rot / 2; ++i) {
    const double turns =  // over the original context
        context / (2 * std::numbers::pi) *
        std::pow(rope.theta, -2 * static_cast<double>(i) / static_cast<double>(n_rot));
    double divisor = 1;
    if (turns < rope.low_freq_factor) {
      divisor = rope.factor;
    } else if (turns <= rope.high_freq_factor) {
      const double share =
          (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      divisor = 1 / ((1 - share) / rope.factor + share);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

}  // namespace longhaul
