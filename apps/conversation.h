// A chat with a model: its turns, and the session that holds their tokens. Each answer processes
// only what the session does not hold already.
#pragma once

#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

class Conversation {
 public:
  // The engine must outlive the conversation. `system` opens every chat unless it is empty. Error
  // if the model's chat format is unknown.
  static Result<Conversation> start(Engine& engine, std::string system);

  // Adds a user turn, generates the answer by `request` (its prompt is filled in here) and adds
  // that too. A cancelled answer is kept as far as it came. On an error, or when stopped before the
  // first token, the turn is taken back.
  Result<GenerateResult> answer(std::string text, GenerateRequest request);

  // Forgets all turns but the system's.
  void reset();

  // The state of the session goes to `path`, the turns to `path`.json.
  Status save(const std::string& path);
  // Replaces this conversation; returns the tokens that need not be processed again. On an error
  // nothing has changed.
  Result<size_t> load(const std::string& path);

  const std::vector<ChatTurn>& turns() const { return turns_; }
  size_t n_tokens() const { return session_.tokens().size(); }

 private:
  Conversation(Engine& engine, Session session, std::vector<ChatTurn> turns)
      : engine_(&engine), session_(std::move(session)), turns_(std::move(turns)) {}

  Engine* engine_;
  Session session_;
  std::vector<ChatTurn> turns_;
};

}  // namespace longhaul
