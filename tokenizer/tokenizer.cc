#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>

namespace longhaul {
namespace {

// Tokens that end an answer in the chat formats of the families we know, whatever EOS is.
constexpr std::string_view kEndTexts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|return|>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};

std::optional<int32_t> narrow(std::optional<int64_t> id) {
  if (!id) return std::nullopt;
  return static_cast<int32_t>(*id);  // check_vocabulary has seen that it fits
}

}  // namespace

Result<Tokenizer> Tokenizer::load(const GgufFile& file) {
  LH_ASSIGN_OR_RETURN(const Vocabulary vocabulary, vocabulary_from_gguf(file));
  auto tokenizer = build(vocabulary);
  if (!tokenizer) tokenizer.error().message = file.path() + ": " + tokenizer.error().message;
  return tokenizer;
}

Result<Tokenizer> Tokenizer::build(const Vocabulary& vocabulary) {
  LH_RETURN_IF_ERROR(check_vocabulary(vocabulary));
  Tokenizer t;
  t.bos_ = narrow(vocabulary.bos);
  t.eos_ = narrow(vocabulary.eos);
  t.unknown_ = narrow(vocabulary.unknown);
  t.padding_ = narrow(vocabulary.padding);
  t.chat_template_ = vocabulary.chat_template;
  LH_RETURN_IF_ERROR(t.make_encoder(vocabulary));
  t.collect_special(vocabulary);
  if (vocabulary.types.empty()) {
    t.warnings_.push_back("tokenizer.ggml.token_type is missing: special tokens are not known");
  }
  if (t.add_bos_ && !t.bos_) {
    t.add_bos_ = false;
    t.warnings_.push_back("tokenizer.ggml.bos_token_id is missing: no BOS token is added");
  }
  return t;
}

Status Tokenizer::make_encoder(const Vocabulary& vocabulary) {
  tokens_ = std::make_unique<TokenTable>();
  if (vocabulary.model == "llama") {
    LH_RETURN_IF_ERROR(tokens_->build(vocabulary, TokenizerFamily::kSentencePiece));
    add_bos_ = vocabulary.add_bos.value_or(true);
    add_space_prefix_ = vocabulary.add_space_prefix.value_or(true);
    LH_ASSIGN_OR_RETURN(encoder_, make_spm_encoder(vocabulary, *tokens_, add_space_prefix_));
    return {};
  }
  if (vocabulary.model != "gpt2") {
    return unsupported("tokenizer.ggml.model: {} is not supported; supported: gpt2, llama",
                       quoted(vocabulary.model));
  }
  if (!vocabulary.pre) {
    warnings_.push_back(
        "tokenizer.ggml.pre is missing: the pre-tokenizer `default` is used, and the text may be "
        "cut "
        "in other places than the model was trained with");
  }
  const std::string pre_name = vocabulary.pre.value_or("default");
  const PreTokenizer* pre = find_pretokenizer(pre_name);
  if (pre == nullptr) {
    return unsupported("tokenizer.ggml.pre: {} is not supported; supported: {}", quoted(pre_name),
                       pretokenizer_names());
  }
  LH_RETURN_IF_ERROR(tokens_->build(vocabulary, TokenizerFamily::kByteLevelBpe));
  add_bos_ = vocabulary.add_bos.value_or(pre->add_bos_default);
  LH_ASSIGN_OR_RETURN(encoder_, make_bpe_encoder(vocabulary, *tokens_, *pre));
  return {};
}

void Tokenizer::collect_special(const Vocabulary& vocabulary) {
  for (size_t i = 0; i < tokens_->size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view piece = tokens_->piece(id);
    if (piece.empty()) continue;
    const TokenType type = tokens_->type(id);
    const bool user_defined = type == TokenType::kUserDefined;
    if (user_defined) user_defined_.add(piece, id);
    if (user_defined || type == TokenType::kControl || type == TokenType::kUnknown) {
      special_.add(piece, id);
    }
  }
  user_defined_.build();
  special_.build();

  for (const auto id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id) end_ids_.push_back(static_cast<int32_t>(*id));
  }
  for (const std::string_view text : kEndTexts) {
    if (const auto id = tokens_->find(text)) end_ids_.push_back(*id);
  }
  std::sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
}

// The token that begins at `pos`. `said` loses the ranges that end before it.
TokenMatcher::Match Tokenizer::match_at(std::string_view text, size_t pos,
                                        const EncodeOptions& options,
                                        std::span<const TextRange>& said) const {
  while (!said.empty() && said.front().end <= pos) said = said.subspan(1);
  const size_t limit = said.empty() ? text.size() : said.front().begin;
  if (!options.parse_special || limit <= pos) return user_defined_.longest_at(text, pos);
  const TokenMatcher::Match special = special_.longest_at(text.substr(0, limit), pos);
  if (limit == text.size()) return special;
  // A run of newlines may reach from the template into what is said; a control token may not.
  const TokenMatcher::Match user_defined = user_defined_.longest_at(text, pos);
  return user_defined.length > special.length ? user_defined : special;
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() >= std::numeric_limits<uint32_t>::max()) {
    return bad_input("a text of {} bytes is too long to tokenize at once", text.size());
  }
  std::vector<int32_t> ids;
  if (options.add_bos.value_or(add_bos_)) {
    if (!bos_) return bad_input("a BOS token is asked for, but the vocabulary has none");
    ids.push_back(*bos_);
  }
  std::span<const TextRange> said = options.said;
  bool at_start = true;
  size_t begin = 0;  // of the plain text not yet encoded
  const auto encode_plain = [&](size_t end) -> Status {
    if (begin == end) return {};
    const std::string_view plain = text.substr(begin, end - begin);
    // Behind a control token a text that brings its own white space is not given more: a template
    // that writes `[INST] Hello` means the tokens [INST] and Hello-with-a-blank.
    const bool has_space = begin > 0 && (plain[0] == ' ' || plain[0] == '\n');
    LH_RETURN_IF_ERROR(encoder_->encode(plain, at_start && !has_space, ids));
    at_start = false;
    return {};
  };
  for (size_t pos = 0; pos < text.size();) {
    const TokenMatcher::Match match = match_at(text, pos, options, said);
    if (match.length == 0) {
      ++pos;
      continue;
    }
    LH_RETURN_IF_ERROR(encode_plain(pos));
    ids.push_back(match.id);
    at_start = !is_text(tokens_->type(match.id));
    pos += match.length;
    begin = pos;
  }
  LH_RETURN_IF_ERROR(encode_plain(text.size()));
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool render_special) const {
  std::string text;
  bool at_start = true;
  for (const int32_t id : ids) {
    if (!tokens_->contains(id)) continue;
    const bool plain = is_text(tokens_->type(id));
    std::string_view piece = plain || render_special ? tokens_->piece(id) : std::string_view();
    const bool has_prefix = tokens_->type(id) != TokenType::kUserDefined;
    if (plain && at_start && add_space_prefix_ && has_prefix && piece.substr(0, 1) == " ") {
      piece.remove_prefix(1);
    }
    text += piece;
    at_start = !plain;
  }
  return text;
}

std::string_view Tokenizer::piece(int32_t id) const {
  return tokens_->contains(id) ? tokens_->piece(id) : std::string_view();
}

std::string_view Tokenizer::text_piece(int32_t id) const {
  if (!tokens_->contains(id) || !is_text(tokens_->type(id))) return {};
  return tokens_->piece(id);
}

bool Tokenizer::is_control(int32_t id) const {
  return tokens_->contains(id) && tokens_->type(id) == TokenType::kControl;
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::binary_search(end_ids_.begin(), end_ids_.end(), id);
}

}  // namespace longhaul
