// Answers that are a row of blocks, of reasoning, text and calls, in the order in which the model
// said them: the shapes of /responses and /messages. They have one choice.
#pragma once

#include <string>
#include <vector>

#include "server/answer_shape.h"

namespace longhaul {

struct AnswerBlock {
  OutputDelta::Kind kind = OutputDelta::Kind::kContent;  // not kArguments, which are those of kCall
  std::string name = {};                                 // of a call's tool
  std::string text = {};                                 // of a call its arguments
  size_t call = 0;                                       // the number of the call, from 0
};

class BlockShape : public AnswerShape {
 public:
  std::string piece(size_t index, const OutputDelta& delta, const Tokens* tokens,
                    size_t offset) final;
  std::string close(size_t index, const Ending& ending) final;
  nlohmann::ordered_json whole(const std::vector<AnswerChoice>& choices, const Usage& usage,
                               bool has_logprobs) final;

 protected:
  // Events of a stream about the last of blocks().
  virtual std::string begin_block() = 0;
  virtual std::string extend_block(const std::string& piece) = 0;
  virtual std::string end_block() = 0;
  // The whole answer, of blocks() and ending().
  virtual nlohmann::ordered_json document_of(const Usage& usage) = 0;

  const std::vector<AnswerBlock>& blocks() const { return blocks_; }
  const AnswerBlock& block() const { return blocks_.back(); }
  size_t block_index() const { return blocks_.size() - 1; }
  const Ending& ending() const { return ending_; }

 private:
  std::vector<AnswerBlock> blocks_;
  Ending ending_;
};

}  // namespace longhaul
