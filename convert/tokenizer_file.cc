#include "convert/tokenizer_file.h"

#include <algorithm>

#include "convert/pretokenizer_kind.h"
#include "io/gguf_value.h"

namespace longhaul {
namespace {

constexpr std::string_view kBlank = "\xE2\x96\x81";  // U+2581

// Fills a TokenizerFile step by step.
class Reader {
 public:
  Reader(const JsonFields& fields, size_t n_tokens) : fields_(fields), n_tokens_(n_tokens) {
    out_.vocabulary.tokens.resize(n_tokens);
    out_.vocabulary.types.assign(n_tokens, static_cast<int32_t>(TokenType::kUnused));
  }
  Result<TokenizerFile> read();

 private:
  Status read_tokens(const JsonFields& model);
  Status read_added();
  Status add_extra(const Json& token);
  Status place(const std::string& text, int64_t id, TokenType type);
  Status read_merges(const JsonFields& model);
  Status read_normalizer(const Json& normalizer);
  Status read_processor(const Json& processor);
  Status read_blanks();
  void fill_holes();
  void score_by_merges();

  const JsonFields& fields_;
  size_t n_tokens_;
  TokenizerFile out_;
  std::vector<std::pair<std::string, std::string>> merges_;
  bool is_sentencepiece_ = false;
  bool replaces_blanks_ = false;  // SentencePiece: " " becomes U+2581
};

// The place of a text in the list. An added token may say again what the model's vocabulary says.
Status Reader::place(const std::string& text, int64_t id, TokenType type) {
  const auto index = static_cast<size_t>(id);
  std::string& token = out_.vocabulary.tokens[index];
  const auto [known, is_new] = out_.ids.emplace(text, id);
  if (known->second != id || (!token.empty() && token != text)) {
    return bad_input("{}: token {}: expected id {} and no other token there, found id {} and {}",
                     fields_.file(), longhaul::quoted(text), id, known->second,
                     longhaul::quoted(token));
  }
  token = text;
  out_.vocabulary.types[index] = static_cast<int32_t>(type);
  return {};
}

bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
}

Status Reader::read_tokens(const JsonFields& model) {
  const Json* vocabulary = model.find("vocab");
  if (vocabulary == nullptr || !vocabulary->is_object())
    return model.wrong("vocab", "ids by token");
  for (const auto& [text, id] : vocabulary->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= n_tokens_) {
      return bad_input("{}: token {}: expected an id below {}, the rows of the embedding, found {}",
                       fields_.file(), longhaul::quoted(text), n_tokens_, snippet(id));
    }
    const bool is_byte = is_sentencepiece_ && is_byte_token(text);
    LH_RETURN_IF_ERROR(
        place(text, id.get<int64_t>(), is_byte ? TokenType::kByte : TokenType::kNormal));
  }
  LH_ASSIGN_OR_RETURN(const std::string unknown, model.text_or("unk_token", ""));
  const auto found = out_.ids.find(unknown);
  if (found == out_.ids.end()) return {};
  out_.vocabulary.unknown = found->second;
  return place(unknown, found->second, TokenType::kUnknown);
}

Status Reader::add_extra(const Json& token) {
  LH_ASSIGN_OR_RETURN(const JsonFields fields,
                      JsonFields::of(token, fields_.file(), "added_tokens."));
  LH_ASSIGN_OR_RETURN(const std::string text, fields.text("content"));
  const Json* id = fields.find("id");
  if (id == nullptr || !id->is_number_unsigned()) return fields.wrong("id", "a whole number");
  if (id->get<uint64_t>() >= n_tokens_) {
    out_.notes.push_back(fmt::format("the added token {} is left out: the embedding has no row {}",
                                     longhaul::quoted(text), id->get<uint64_t>()));
    return {};
  }
  for (const char* key : {"lstrip", "rstrip", "single_word"}) {
    LH_ASSIGN_OR_RETURN(const bool flag, fields.flag_or(key, false));
    if (flag)
      out_.notes.push_back(fmt::format("the added token {} has {}, which GGUF files cannot say",
                                       longhaul::quoted(text), key));
  }
  LH_ASSIGN_OR_RETURN(const bool is_control, fields.flag_or("special", false));
  const bool is_unknown = out_.vocabulary.unknown == id->get<int64_t>();
  return place(text, id->get<int64_t>(),
               is_unknown   ? TokenType::kUnknown
               : is_control ? TokenType::kControl
                            : TokenType::kUserDefined);
}

Status Reader::read_added() {
  const Json* added = fields_.find("added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return fields_.wrong("added_tokens", "a list");
  for (const Json& token : *added) LH_RETURN_IF_ERROR(add_extra(token));
  return {};
}

// "a b", or ["a", "b"] where tokens may hold blanks.
Status Reader::read_merges(const JsonFields& model) {
  const Json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array()) return model.wrong("merges", "a list");
  for (const Json& merge : *merges) {
    std::string left, right;
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t blank = text.find(' ', 1);
      left = text.substr(0, blank);
      right = blank == std::string::npos ? "" : text.substr(blank + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    }
    const bool can_be_written = is_sentencepiece_ || (left + right).find(' ') == std::string::npos;
    if (left.empty() || right.empty() || !can_be_written || !out_.ids.contains(left + right)) {
      return bad_input("{}: key 'model.merges': expected two tokens that make a third, found {}",
                       fields_.file(), snippet(merge));
    }
    merges_.emplace_back(std::move(left), std::move(right));
  }
  return {};
}

// What is done to a text before it is cut.
Status Reader::read_normalizer(const Json& normalizer) {
  LH_ASSIGN_OR_RETURN(const JsonFields fields,
                      JsonFields::of(normalizer, fields_.file(), "normalizer."));
  LH_ASSIGN_OR_RETURN(const std::string type, fields.text("type"));
  if (type == "Sequence" && normalizer.contains("normalizers") &&
      normalizer["normalizers"].is_array()) {
    for (const Json& each : normalizer["normalizers"]) LH_RETURN_IF_ERROR(read_normalizer(each));
    return {};
  }
  if (type == "NFC") {
    out_.notes.emplace_back(
        "the normalizer NFC is left out, as in all GGUF files: texts are taken as they are");
    return {};
  }
  if (is_sentencepiece_ && type == "Prepend" && normalizer.value("prepend", Json()) == kBlank) {
    out_.vocabulary.add_space_prefix = true;
    return {};
  }
  if (is_sentencepiece_ && type == "Replace" && normalizer.value("content", Json()) == kBlank &&
      normalizer.value("pattern", Json()) == Json::object({{"String", " "}})) {
    replaces_blanks_ = true;
    return {};
  }
  return unsupported("{}: key 'normalizer': expected NFC{}, found {}", fields_.file(),
                     is_sentencepiece_ ? ", or blanks replaced or prepended as U+2581" : "",
                     snippet(normalizer));
}

// What is put around a text.
Status Reader::read_processor(const Json& processor) {
  LH_ASSIGN_OR_RETURN(const JsonFields fields,
                      JsonFields::of(processor, fields_.file(), "post_processor."));
  LH_ASSIGN_OR_RETURN(const std::string type, fields.text("type"));
  if (type == "ByteLevel") return {};
  if (type == "Sequence" && processor.contains("processors") &&
      processor["processors"].is_array()) {
    for (const Json& each : processor["processors"]) LH_RETURN_IF_ERROR(read_processor(each));
    return {};
  }
  if (type != "TemplateProcessing") return fields.wrong("type", "TemplateProcessing or ByteLevel");
  const Json* single = fields.find("single");
  if (single == nullptr || !single->is_array() || single->empty())
    return fields.wrong("single", "a list");
  const auto special = [](const Json& item) -> std::optional<std::string> {
    const Json id =
        item.is_object() && item.contains("SpecialToken") && item["SpecialToken"].is_object()
            ? item["SpecialToken"].value("id", Json())
            : Json();
    return id.is_string() ? std::optional(id.get<std::string>()) : std::nullopt;
  };
  out_.first = special(single->front());
  out_.last = special(single->back());
  return {};
}

// SentencePiece: blanks become U+2581 in the normalizer or, in newer files, in the pre-tokenizer.
Status Reader::read_blanks() {
  const Json* stage = fields_.find("pre_tokenizer");
  if (stage != nullptr && stage->is_object() && stage->value("type", Json()) == "Metaspace") {
    replaces_blanks_ = stage->value("replacement", Json()) == kBlank;
    const Json scheme = stage->value("prepend_scheme", Json("always"));
    out_.vocabulary.add_space_prefix =
        scheme != "never" && stage->value("add_prefix_space", Json(true)) == true;
  } else if (stage != nullptr) {  // pieces that end with their blanks, which merges do not cross
    const Json at_blanks = {{"type", "Split"},
                            {"pattern", Json::object({{"String", " "}})},
                            {"behavior", "MergedWithPrevious"},
                            {"invert", false}};
    if (*stage != at_blanks)
      return fields_.wrong("pre_tokenizer", "Metaspace, a split at blanks, or none");
  }
  if (!replaces_blanks_) return fields_.wrong("normalizer", "blanks replaced by U+2581");
  return {};
}

// Rows of the embedding that no token has: the vocabulary was padded.
void Reader::fill_holes() {
  for (size_t i = 0; i < n_tokens_; ++i) {
    if (out_.vocabulary.tokens[i].empty()) out_.vocabulary.tokens[i] = fmt::format("[PAD{}]", i);
  }
}

// SentencePiece joins the neighbours whose joint text has the highest score; tokenizer.json lists
// every pair, those of the highest score first. So the scores fall with the first merge that makes a
// token; characters, which nothing makes, come last.
void Reader::score_by_merges() {
  Vocabulary& vocabulary = out_.vocabulary;
  vocabulary.scores.assign(n_tokens_, -static_cast<float>(merges_.size() + 1));
  float next = 0;
  for (const auto& [left, right] : merges_) {
    float& score = vocabulary.scores[static_cast<size_t>(out_.ids.at(left + right))];
    if (score < -static_cast<float>(merges_.size())) score = --next;
  }
}

Result<TokenizerFile> Reader::read() {
  LH_ASSIGN_OR_RETURN(const JsonFields model, fields_.object("model"));
  LH_ASSIGN_OR_RETURN(const std::string type, model.text_or("type", "BPE"));
  if (type != "BPE") return model.wrong("type", "BPE");
  LH_ASSIGN_OR_RETURN(is_sentencepiece_, model.flag_or("byte_fallback", false));
  LH_RETURN_IF_ERROR(read_tokens(model));
  LH_RETURN_IF_ERROR(read_added());
  LH_RETURN_IF_ERROR(read_merges(model));
  Vocabulary& vocabulary = out_.vocabulary;
  if (is_sentencepiece_) vocabulary.add_space_prefix = false;
  if (const Json* normalizer = fields_.find("normalizer"))
    LH_RETURN_IF_ERROR(read_normalizer(*normalizer));
  if (const Json* processor = fields_.find("post_processor"))
    LH_RETURN_IF_ERROR(read_processor(*processor));
  if (is_sentencepiece_) {
    LH_RETURN_IF_ERROR(read_blanks());
    vocabulary.model = "llama";
    vocabulary.pre = "default";
    score_by_merges();
  } else {
    LH_ASSIGN_OR_RETURN(const bool ignores, model.flag_or("ignore_merges", false));
    LH_ASSIGN_OR_RETURN(vocabulary.pre, find_pretokenizer_name(fields_, ignores));
    vocabulary.model = "gpt2";
    for (const auto& [left, right] : merges_) vocabulary.merges.push_back(left + " " + right);
  }
  fill_holes();
  return std::move(out_);
}

}  // namespace

Result<TokenizerFile> read_tokenizer_file(const Json& document, const std::string& file,
                                          size_t n_tokens) {
  LH_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::of(document, file));
  return Reader(fields, n_tokens).read();
}

}  // namespace longhaul
