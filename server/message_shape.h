// The answers of /messages.
#pragma once

#include <memory>

#include "server/answer_shape.h"

namespace longhaul {

std::unique_ptr<AnswerShape> make_message_shape(const std::string& model,
                                                const AnswerIdentity& identity);

}  // namespace longhaul
