#include "convert/tokenizer_folder.h"

#include <filesystem>
#include <optional>

#include "convert/tokenizer_file.h"
#include "io/gguf_value.h"
#include "io/mapped_file.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

// A document and its path; an empty object where there is no such file.
struct Document {
  std::string path;
  Json json = Json::object();

  static Result<Document> read(const std::string& folder, const char* name) {
    Document document{(fs::path(folder) / name).string()};
    if (!fs::exists(document.path)) return document;
    LH_ASSIGN_OR_RETURN(document.json, read_document(document.path));
    LH_RETURN_IF_ERROR(JsonFields::of(document.json, document.path));
    return document;
  }
  JsonFields fields() const { return *JsonFields::of(json, path); }
};

// The ids of a key such as eos_token_id: a number, or a list of them.
Result<std::vector<int64_t>> read_ids(const JsonFields& fields, std::string_view key) {
  const Json* value = fields.find(key);
  if (value == nullptr) return std::vector<int64_t>();
  const Json list = value->is_array() ? *value : Json::array({*value});
  std::vector<int64_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer()) return fields.wrong(key, "token ids");
    if (id.get<int64_t>() >= 0) ids.push_back(id.get<int64_t>());  // some write -1 for none
  }
  return ids;
}

class Reader {
 public:
  Reader(const JsonFields& config, Document tokenizer_config, Document generation_config,
         TokenizerFile file)
      : config_(config),
        tokenizer_config_(std::move(tokenizer_config)),
        generation_config_(std::move(generation_config)),
        file_(std::move(file)) {}
  Result<TokenizerFolder> read(const std::string& folder);

 private:
  Status read_special(std::string_view name, std::optional<int64_t>& id);
  Status read_around();
  Status read_other_ends();
  Status read_templates(const std::string& folder);
  Status read_template_list(const Json& list);
  Result<int64_t> find_id(std::string_view text, std::string_view key) const;

  const JsonFields& config_;
  Document tokenizer_config_, generation_config_;
  TokenizerFile file_;
  TokenizerFolder out_;
};

Result<int64_t> Reader::find_id(std::string_view text, std::string_view key) const {
  const auto found = file_.ids.find(std::string(text));
  if (found != file_.ids.end()) return found->second;
  return bad_input("{}: key '{}': expected a token of tokenizer.json, found {}",
                   tokenizer_config_.path, key, longhaul::quoted(text));
}

// `bos_token` of tokenizer_config.json, else `bos_token_id` of generation_config.json, else that of
// config.json.
Status Reader::read_special(std::string_view name, std::optional<int64_t>& id) {
  const JsonFields fields = tokenizer_config_.fields();
  const std::string key = fmt::format("{}_token", name);
  if (const Json* token = fields.find(key)) {
    const Json text = token->is_object() ? token->value("content", Json()) : *token;
    if (!text.is_string()) return fields.wrong(key, "a token");
    LH_ASSIGN_OR_RETURN(id, find_id(text.get<std::string>(), key));
    return {};
  }
  const JsonFields generation = generation_config_.fields();
  for (const JsonFields* other : {&generation, &config_}) {
    LH_ASSIGN_OR_RETURN(const auto ids, read_ids(*other, key + "_id"));
    if (ids.empty()) continue;
    id = ids.front();
    return {};
  }
  return {};
}

// Whether BOS and EOS are put around a text: the flags of tokenizer_config.json, else what the
// post-processor does.
Status Reader::read_around() {
  Vocabulary& vocabulary = out_.vocabulary;
  const JsonFields fields = tokenizer_config_.fields();
  LH_ASSIGN_OR_RETURN(vocabulary.add_bos, fields.flag_or("add_bos_token", file_.first.has_value()));
  LH_ASSIGN_OR_RETURN(out_.adds_eos, fields.flag_or("add_eos_token", file_.last.has_value()));
  if (!fields.has("add_bos_token") && file_.first) {
    LH_ASSIGN_OR_RETURN(const int64_t first, find_id(*file_.first, "post_processor"));
    if (vocabulary.bos.value_or(first) != first) {
      return bad_input("{}: key 'bos_token': expected {}, which tokenizer.json puts first",
                       tokenizer_config_.path, longhaul::quoted(*file_.first));
    }
    vocabulary.bos = first;
  }
  return {};
}

// Models end an answer by several tokens; a GGUF file can name three of them, readers know more by
// their text.
Status Reader::read_other_ends() {
  Vocabulary& vocabulary = out_.vocabulary;
  LH_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::build(vocabulary));
  const JsonFields generation = generation_config_.fields();
  LH_ASSIGN_OR_RETURN(const auto ids, read_ids(generation, "eos_token_id"));
  for (const int64_t id : ids) {
    if (static_cast<size_t>(id) >= vocabulary.tokens.size())
      return generation.wrong("eos_token_id",
                              fmt::format("ids below {}", vocabulary.tokens.size()));
    if (tokenizer.is_end_of_generation(static_cast<int32_t>(id))) continue;
    if (!vocabulary.eot) {
      vocabulary.eot = id;
    } else if (!vocabulary.eom) {
      vocabulary.eom = id;
    } else {
      out_.notes.push_back(
          fmt::format("token {} ends an answer too, which the file cannot say", id));
    }
  }
  return {};
}

Status Reader::read_template_list(const Json& list) {
  for (const Json& each : list) {
    LH_ASSIGN_OR_RETURN(const JsonFields fields,
                        JsonFields::of(each, tokenizer_config_.path, "chat_template."));
    LH_ASSIGN_OR_RETURN(std::string name, fields.text("name"));
    LH_ASSIGN_OR_RETURN(std::string text, fields.text("template"));
    if (name == "default") {
      out_.vocabulary.chat_template = std::move(text);
    } else {
      out_.named_templates.emplace_back(std::move(name), std::move(text));
    }
  }
  return {};
}

Status Reader::read_templates(const std::string& folder) {
  const JsonFields fields = tokenizer_config_.fields();
  if (const Json* inside = fields.find("chat_template"); inside != nullptr && inside->is_array()) {
    LH_RETURN_IF_ERROR(read_template_list(*inside));
  } else {
    LH_ASSIGN_OR_RETURN(out_.vocabulary.chat_template, fields.text_or("chat_template", ""));
  }
  const std::string path = (fs::path(folder) / "chat_template.jinja").string();
  if (fs::exists(path)) {
    LH_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    const auto bytes = file.bytes();
    out_.vocabulary.chat_template.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  LH_ASSIGN_OR_RETURN(const Document beside, Document::read(folder, "chat_template.json"));
  LH_ASSIGN_OR_RETURN(out_.vocabulary.chat_template,
                      beside.fields().text_or("chat_template", out_.vocabulary.chat_template));
  return {};
}

Result<TokenizerFolder> Reader::read(const std::string& folder) {
  out_.vocabulary = std::move(file_.vocabulary);
  out_.notes = std::move(file_.notes);
  Vocabulary& vocabulary = out_.vocabulary;
  LH_RETURN_IF_ERROR(read_special("bos", vocabulary.bos));
  LH_RETURN_IF_ERROR(read_special("eos", vocabulary.eos));
  LH_RETURN_IF_ERROR(read_special("pad", vocabulary.padding));
  LH_RETURN_IF_ERROR(read_around());
  LH_RETURN_IF_ERROR(read_templates(folder));
  LH_RETURN_IF_ERROR(read_other_ends());
  return std::move(out_);
}

void set_id(GgufWriter& writer, std::string_view name, std::optional<int64_t> id) {
  if (id)
    writer.set_u32(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(*id));
}

}  // namespace

Result<TokenizerFolder> read_tokenizer_folder(const std::string& folder, const JsonFields& config,
                                              size_t n_tokens) {
  const std::string path = (fs::path(folder) / "tokenizer.json").string();
  LH_ASSIGN_OR_RETURN(const Json document, read_document(path));
  LH_ASSIGN_OR_RETURN(TokenizerFile file, read_tokenizer_file(document, path, n_tokens));
  LH_ASSIGN_OR_RETURN(Document tokenizer, Document::read(folder, "tokenizer_config.json"));
  LH_ASSIGN_OR_RETURN(Document generation, Document::read(folder, "generation_config.json"));
  auto read =
      Reader(config, std::move(tokenizer), std::move(generation), std::move(file)).read(folder);
  if (!read && !read.error().message.starts_with(folder))
    read.error().message = fmt::format("{}, as a GGUF file has it: {}", path, read.error().message);
  return read;
}

void set_tokenizer_keys(const TokenizerFolder& tokenizer, GgufWriter& writer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary;
  writer.set_string("tokenizer.ggml.model", vocabulary.model);
  if (vocabulary.pre) writer.set_string("tokenizer.ggml.pre", *vocabulary.pre);
  writer.set_string_array("tokenizer.ggml.tokens", vocabulary.tokens);
  if (!vocabulary.scores.empty()) writer.set_f32_array("tokenizer.ggml.scores", vocabulary.scores);
  writer.set_i32_array("tokenizer.ggml.token_type", vocabulary.types);
  if (vocabulary.model == "gpt2")
    writer.set_string_array("tokenizer.ggml.merges", vocabulary.merges);
  set_id(writer, "bos", vocabulary.bos);
  set_id(writer, "eos", vocabulary.eos);
  set_id(writer, "eot", vocabulary.eot);
  set_id(writer, "eom", vocabulary.eom);
  set_id(writer, "unknown", vocabulary.unknown);
  set_id(writer, "padding", vocabulary.padding);
  if (vocabulary.add_bos) writer.set_bool("tokenizer.ggml.add_bos_token", *vocabulary.add_bos);
  writer.set_bool("tokenizer.ggml.add_eos_token", tokenizer.adds_eos);
  if (vocabulary.add_space_prefix)
    writer.set_bool("tokenizer.ggml.add_space_prefix", *vocabulary.add_space_prefix);
  if (!vocabulary.chat_template.empty())
    writer.set_string("tokenizer.chat_template", vocabulary.chat_template);
  std::vector<std::string> names;
  for (const auto& [name, text] : tokenizer.named_templates) {
    writer.set_string(fmt::format("tokenizer.chat_template.{}", name), text);
    names.push_back(name);
  }
  if (!names.empty()) writer.set_string_array("tokenizer.chat_templates", names);
}

}  // namespace longhaul
