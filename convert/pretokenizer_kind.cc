#include "convert/pretokenizer_kind.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

namespace longhaul {
namespace {

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// What cuts a text, one stage after the other; the second is empty where there is one only.
struct Kind {
  std::string_view name;
  bool ignores_merges;
  std::array<std::string_view, 2> patterns;
};
constexpr Kind kKinds[] = {
    {"gpt-2", false, {kGpt2, ""}},      {"smollm", false, {kDigit, kGpt2}},
    {"llama-bpe", true, {kLlama3, ""}}, {"dbrx", false, {kLlama3, ""}},
    {"qwen2", false, {kQwen2, ""}},     {"tekken", true, {kTekken, ""}},
    {"gpt-4o", false, {kGpt4o, ""}},
};

// The pattern whose matches become pieces of their own.
Result<std::string> read_split(const JsonFields& stage) {
  LH_ASSIGN_OR_RETURN(const JsonFields pattern, stage.object("pattern"));
  LH_ASSIGN_OR_RETURN(std::string regex, pattern.text("Regex"));
  LH_ASSIGN_OR_RETURN(const std::string behavior, stage.text("behavior"));
  LH_ASSIGN_OR_RETURN(const bool inverts, stage.flag_or("invert", false));
  // What lies between matches is empty for patterns that match everything, and removed if inverted.
  if (!(behavior == "Isolated" && !inverts) && !(behavior == "Removed" && inverts))
    return stage.wrong("behavior", "Isolated, or Removed with invert");
  return regex;
}

// Appends the patterns of one stage, or of the stages of a sequence.
Status read_stage(const JsonFields& stage, std::vector<std::string>& patterns) {
  LH_ASSIGN_OR_RETURN(const std::string type, stage.text("type"));
  if (type == "Sequence") {
    const Json* stages = stage.find("pretokenizers");
    if (stages == nullptr || !stages->is_array()) return stage.wrong("pretokenizers", "a list");
    for (const Json& each : *stages) {
      LH_ASSIGN_OR_RETURN(const JsonFields fields,
                          JsonFields::of(each, stage.file(), "pre_tokenizer.pretokenizers."));
      LH_RETURN_IF_ERROR(read_stage(fields, patterns));
    }
    return {};
  }
  if (type == "Split") {
    LH_ASSIGN_OR_RETURN(std::string pattern, read_split(stage));
    patterns.push_back(std::move(pattern));
    return {};
  }
  if (type == "Digits") {
    LH_ASSIGN_OR_RETURN(const bool single, stage.flag_or("individual_digits", false));
    if (!single) return stage.wrong("individual_digits", "true");
    patterns.emplace_back(kDigit);
    return {};
  }
  if (type != "ByteLevel") return stage.wrong("type", "Sequence, Split, Digits or ByteLevel");
  LH_ASSIGN_OR_RETURN(const bool adds_blank, stage.flag_or("add_prefix_space", true));
  if (adds_blank) return stage.wrong("add_prefix_space", "false");
  LH_ASSIGN_OR_RETURN(const bool cuts, stage.flag_or("use_regex", true));
  if (cuts) patterns.emplace_back(kGpt2);
  return {};
}

}  // namespace

Result<std::string> find_pretokenizer_name(const JsonFields& fields, bool ignores_merges) {
  LH_ASSIGN_OR_RETURN(const JsonFields stage, fields.object("pre_tokenizer"));
  std::vector<std::string> patterns;
  LH_RETURN_IF_ERROR(read_stage(stage, patterns));
  for (const Kind& kind : kKinds) {
    const auto end = std::find(kind.patterns.begin(), kind.patterns.end(), "");
    if (kind.ignores_merges == ignores_merges &&
        std::equal(patterns.begin(), patterns.end(), kind.patterns.begin(), end))
      return std::string(kind.name);
  }
  return unsupported(
      "{}: key 'pre_tokenizer': expected one that cuts as gpt-2, smollm, llama-bpe, dbrx, qwen2, "
      "tekken or gpt-4o does, found the patterns '{}' with ignore_merges {}",
      fields.file(), fmt::join(patterns, "', '"), ignores_merges);
}

}  // namespace longhaul
