#include "tokenizer/vocabulary.h"

#include <limits>
#include <string_view>
#include <unordered_map>

namespace longhaul {
namespace {

Status read_strings(const GgufFile& file, std::string_view key, std::vector<std::string>& out) {
  LH_ASSIGN_OR_RETURN(const auto values, file.get_string_array(key));
  out.assign(values.begin(), values.end());
  return {};
}

Status read_id(const GgufFile& file, std::string_view key, std::optional<int64_t>& out) {
  if (!file.has(key)) return {};
  LH_ASSIGN_OR_RETURN(const int64_t id, file.get_i64(key));
  out = id;
  return {};
}

Status read_flag(const GgufFile& file, std::string_view key, std::optional<bool>& out) {
  if (!file.has(key)) return {};
  LH_ASSIGN_OR_RETURN(const bool flag, file.get_bool(key));
  out = flag;
  return {};
}

Status check_id(std::string_view key, std::optional<int64_t> id, size_t n_tokens) {
  if (!id || (*id >= 0 && static_cast<uint64_t>(*id) < n_tokens)) return {};
  return bad_input("tokenizer.ggml.{}: expected an id below {}, the number of tokens, found {}",
                   key, n_tokens, *id);
}

}  // namespace

Result<Vocabulary> vocabulary_from_gguf(const GgufFile& file) {
  Vocabulary v;
  LH_ASSIGN_OR_RETURN(v.model, file.get_string("tokenizer.ggml.model"));
  if (file.has("tokenizer.ggml.pre")) {
    LH_ASSIGN_OR_RETURN(v.pre, file.get_string("tokenizer.ggml.pre"));
  }
  LH_RETURN_IF_ERROR(read_strings(file, "tokenizer.ggml.tokens", v.tokens));
  if (file.has("tokenizer.ggml.scores")) {
    LH_ASSIGN_OR_RETURN(v.scores, file.get_f32_array("tokenizer.ggml.scores"));
  }
  if (file.has("tokenizer.ggml.token_type")) {
    LH_ASSIGN_OR_RETURN(v.types, file.get_i32_array("tokenizer.ggml.token_type"));
  }
  if (v.model == "gpt2") {
    LH_RETURN_IF_ERROR(read_strings(file, "tokenizer.ggml.merges", v.merges));
  }
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.bos_token_id", v.bos));
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.eos_token_id", v.eos));
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.eot_token_id", v.eot));
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.eom_token_id", v.eom));
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.unknown_token_id", v.unknown));
  LH_RETURN_IF_ERROR(read_id(file, "tokenizer.ggml.padding_token_id", v.padding));
  LH_RETURN_IF_ERROR(read_flag(file, "tokenizer.ggml.add_bos_token", v.add_bos));
  LH_RETURN_IF_ERROR(read_flag(file, "tokenizer.ggml.add_space_prefix", v.add_space_prefix));
  LH_ASSIGN_OR_RETURN(v.chat_template, file.get_string_or("tokenizer.chat_template", ""));
  return v;
}

Status check_vocabulary(const Vocabulary& v) {
  const size_t n = v.tokens.size();
  if (n == 0) return bad_input("tokenizer.ggml.tokens: the vocabulary is empty");
  if (n > std::numeric_limits<int32_t>::max()) {
    return bad_input("tokenizer.ggml.tokens: {} tokens do not fit 32-bit ids", n);
  }
  if (!v.types.empty() && v.types.size() != n) {
    return bad_input("tokenizer.ggml.token_type: expected {} values, one per token, found {}", n,
                     v.types.size());
  }
  if (!v.scores.empty() && v.scores.size() != n) {
    return bad_input("tokenizer.ggml.scores: expected {} values, one per token, found {}", n,
                     v.scores.size());
  }
  for (size_t i = 0; i < v.types.size(); ++i) {
    if (v.types[i] < 1 || v.types[i] > 6) {
      return bad_input("tokenizer.ggml.token_type[{}]: expected 1 to 6, found {}", i, v.types[i]);
    }
  }
  LH_RETURN_IF_ERROR(check_id("bos_token_id", v.bos, n));
  LH_RETURN_IF_ERROR(check_id("eos_token_id", v.eos, n));
  LH_RETURN_IF_ERROR(check_id("eot_token_id", v.eot, n));
  LH_RETURN_IF_ERROR(check_id("eom_token_id", v.eom, n));
  LH_RETURN_IF_ERROR(check_id("unknown_token_id", v.unknown, n));
  LH_RETURN_IF_ERROR(check_id("padding_token_id", v.padding, n));

  std::unordered_map<std::string_view, size_t> seen;
  seen.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    if (v.tokens[i].empty()) continue;
    if (const auto [first, is_new] = seen.emplace(v.tokens[i], i); !is_new) {
      return bad_input("tokenizer.ggml.tokens: tokens {} and {} are both {}", first->second, i,
                       quoted(v.tokens[i]));
    }
  }
  return {};
}

}  // namespace longhaul
