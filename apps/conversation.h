// A chat with a model: its turns, and the session that holds their tokens. Each answer processes
// only what the session does not hold already.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

class Conversation {
 public:
  // The engine must outlive the conversation. `system` opens every chat; an empty one keeps a
  // template from writing its own, as far as it can. Error if the model's chat format is unknown.
  static Result<Conversation> start(Engine& engine, std::optional<std::string> system);

  // Adds a user turn, generates the answer by `request` (its prompt is filled in here) and adds
  // that too. A cancelled answer is kept as far as it came. On an error, or when stopped before the
  // first token, the turn is taken back.
  Result<GenerateResult> answer(std::string text, GenerateRequest request);

  // Answers the last question anew; after an Error the old answer stands. Error: nothing was asked.
  Result<GenerateResult> answer_again(GenerateRequest request);

  // Takes the last question and its answer back; false if there is none.
  bool undo();
  // The same for the first ones.
  bool drop_oldest();
  // Forgets all turns but the system's.
  void reset();
  // Another system message from here on; the turns stay. Error: the template refuses it.
  Status set_system(std::string system);

  // Tokens of the conversation with this question, up to where the answer begins.
  Result<size_t> n_tokens_with(const std::string& question) const;

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

  bool has_system() const { return !turns_.empty() && turns_.front().role == "system"; }
  // The answer to the last turn, a user's.
  Result<GenerateResult> generate(GenerateRequest request);

  Engine* engine_;
  Session session_;
  std::vector<ChatTurn> turns_;
};

}  // namespace longhaul
