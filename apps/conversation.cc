#include "apps/conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/options.h"
#include "base/result.h"
#include "io/output_file.h"

namespace longhaul {
namespace {

std::string turns_path(const std::string& path) { return path + ".json"; }

Status write_turns(const std::string& path, const std::vector<ChatTurn>& turns) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const ChatTurn& turn : turns)
    json.push_back({{"role", turn.role}, {"content", turn.content}});
  const std::string text =
      json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  LH_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  LH_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

Result<std::vector<ChatTurn>> read_turns(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  auto is_text = [](const nlohmann::json& item, const char* key) {
    return item.is_object() && item.contains(key) && item[key].is_string();
  };
  auto is_turn = [&](const nlohmann::json& item) {
    return is_text(item, "role") && is_text(item, "content");
  };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_turn)) {
    return bad_input("{}: expected a JSON array of objects with texts `role` and `content`", path);
  }
  std::vector<ChatTurn> turns;
  for (const auto& item : json) turns.push_back({item["role"], item["content"]});
  return turns;
}

}  // namespace

Result<Conversation> Conversation::start(Engine& engine, std::optional<std::string> system) {
  const ChatTurn question{"user", "?"};
  std::vector<ChatTurn> turns;
  if (system) turns = {{"system", *system}};
  turns.push_back(question);
  if (auto ids = engine.tokenize_chat(turns); !ids) {
    // A template that has no system messages writes none either.
    if (!system || !system->empty() || !engine.tokenize_chat({&question, 1}))
      return tl::unexpected<Error>(std::move(ids.error()));
    turns.erase(turns.begin());
  }
  turns.pop_back();
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  return Conversation(engine, std::move(session), std::move(turns));
}

Result<GenerateResult> Conversation::answer(std::string text, GenerateRequest request) {
  turns_.push_back({"user", std::move(text)});
  auto result = generate(std::move(request));
  const bool has_begun =
      result && (result->finish_reason != FinishReason::kCancelled || !result->tokens.empty());
  if (has_begun) {
    turns_.push_back({"assistant", result->text});
  } else {
    turns_.pop_back();  // as if nothing had been said
  }
  return result;
}

Result<GenerateResult> Conversation::answer_again(GenerateRequest request) {
  if (turns_.empty() || turns_.back().role != "assistant")
    return bad_input("expected a question to answer again, found none");
  ChatTurn old = std::move(turns_.back());
  turns_.pop_back();
  auto result = generate(std::move(request));
  const bool has_begun =
      result && (result->finish_reason != FinishReason::kCancelled || !result->tokens.empty());
  if (has_begun) old.content = result->text;
  turns_.push_back(std::move(old));
  return result;
}

Result<GenerateResult> Conversation::generate(GenerateRequest request) {
  LH_ASSIGN_OR_RETURN(const auto ids, engine_->tokenize_chat(turns_));
  // What the session holds may differ from the rendered chat: an answer that was cut off, thoughts
  // a template leaves out, a text that tokenizes in another way than it was generated. It goes on
  // from the last token that agrees.
  const std::span<const int32_t> held = session_.tokens();
  const auto differ = std::mismatch(ids.begin(), ids.end(), held.begin(), held.end());
  const size_t n_common = std::min(static_cast<size_t>(differ.first - ids.begin()), ids.size() - 1);
  session_.truncate(n_common);
  request.prompt.assign(ids.begin() + static_cast<std::ptrdiff_t>(n_common), ids.end());
  return session_.generate(request);
}

bool Conversation::undo() {
  const size_t n_first = has_system() ? 1 : 0;
  if (turns_.size() < n_first + 2) return false;
  turns_.resize(turns_.size() - 2);
  return true;
}

bool Conversation::drop_oldest() {
  const size_t n_first = has_system() ? 1 : 0;
  if (turns_.size() < n_first + 2) return false;
  const auto first = turns_.begin() + static_cast<std::ptrdiff_t>(n_first);
  turns_.erase(first, first + 2);
  return true;
}

void Conversation::reset() {
  turns_.resize(has_system() ? 1 : 0);
  session_.truncate(0);
}

Status Conversation::set_system(std::string system) {
  std::vector<ChatTurn> turns = turns_;
  if (has_system()) turns.erase(turns.begin());
  turns.insert(turns.begin(), {"system", std::move(system)});
  std::vector<ChatTurn> probe = turns;
  if (probe.back().role != "user") probe.push_back({"user", "?"});
  LH_RETURN_IF_ERROR(engine_->tokenize_chat(probe));
  turns_ = std::move(turns);
  return {};
}

Result<size_t> Conversation::n_tokens_with(const std::string& question) const {
  std::vector<ChatTurn> turns = turns_;
  turns.push_back({"user", question});
  LH_ASSIGN_OR_RETURN(const auto ids, engine_->tokenize_chat(turns));
  return ids.size();
}

Status Conversation::save(const std::string& path) {
  LH_RETURN_IF_ERROR(session_.save(path));
  return write_turns(turns_path(path), turns_);
}

Result<size_t> Conversation::load(const std::string& path) {
  LH_ASSIGN_OR_RETURN(std::vector<ChatTurn> turns, read_turns(turns_path(path)));
  LH_ASSIGN_OR_RETURN(const size_t n_tokens, session_.restore(path));
  turns_ = std::move(turns);
  return n_tokens;
}

}  // namespace longhaul
