// The answers of /completions and of /chat/completions: documents around choices.
#pragma once

#include <memory>

#include "server/answer_shape.h"

namespace longhaul {

std::unique_ptr<AnswerShape> make_text_shape(const std::string& model,
                                             const AnswerIdentity& identity);
std::unique_ptr<AnswerShape> make_chat_shape(const std::string& model,
                                             const AnswerIdentity& identity);

}  // namespace longhaul
