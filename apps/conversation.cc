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

Result<Conversation> Conversation::start(Engine& engine, std::string system) {
  std::vector<ChatTurn> turns;
  if (!system.empty()) turns.push_back({"system", std::move(system)});
  std::vector<ChatTurn> probe = turns;
  probe.push_back({"user", "?"});
  LH_RETURN_IF_ERROR(engine.tokenize_chat(probe));
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  return Conversation(engine, std::move(session), std::move(turns));
}

Result<GenerateResult> Conversation::answer(std::string text, GenerateRequest request) {
  turns_.push_back({"user", std::move(text)});
  auto take_back = [this](Error error) {
    turns_.pop_back();
    return tl::unexpected<Error>(std::move(error));
  };
  auto ids = engine_->tokenize_chat(turns_);
  if (!ids) return take_back(std::move(ids.error()));
  // What the session holds may differ from the rendered chat: an answer that was cut off, thoughts
  // a template leaves out, a text that tokenizes in another way than it was generated. It goes on
  // from the last token that agrees.
  const std::span<const int32_t> held = session_.tokens();
  const auto differ = std::mismatch(ids->begin(), ids->end(), held.begin(), held.end());
  size_t n_common = static_cast<size_t>(differ.first - ids->begin());
  n_common = std::min(n_common, ids->size() - 1);
  session_.truncate(n_common);
  request.prompt.assign(ids->begin() + static_cast<std::ptrdiff_t>(n_common), ids->end());
  auto result = session_.generate(request);
  if (!result) return take_back(std::move(result.error()));
  if (result->finish_reason == FinishReason::kCancelled && result->tokens.empty()) {
    turns_.pop_back();  // stopped before it began: as if nothing had been said
  } else {
    turns_.push_back({"assistant", result->text});
  }
  return result;
}

void Conversation::reset() {
  const bool has_system = !turns_.empty() && turns_.front().role == "system";
  turns_.resize(has_system ? 1 : 0);
  session_.truncate(0);
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
