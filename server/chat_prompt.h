// From a conversation to a prompt, and from the prompt to what the answer may be: the one place
// where the server meets chat formats.
#pragma once

#include <string>
#include <vector>

#include "longhaul/engine.h"
#include "server/chat_format.h"
#include "server/output_parser.h"

namespace longhaul {

// The tokens of a conversation in the model's own format, ready for the answer. What people say is
// never a control token. Error: the field at fault; kUnsupported where the model's template does
// not know what is asked for.
tl::expected<std::vector<int32_t>, FieldError> chat_prompt(const Engine& engine,
                                                           const ChatFormat& format,
                                                           const ChatRequest& request);
// The same as text, control tokens by their names.
tl::expected<std::string, FieldError> chat_prompt_text(const Engine& engine,
                                                       const ChatFormat& format,
                                                       const ChatRequest& request);

// How the answer to a prompt is to be read.
OutputOptions output_options(const Engine& engine, const ChatFormat& format,
                             const ChatRequest& request, const std::vector<int32_t>& prompt);
// The control tokens that reading it needs to see (GenerateRequest::shown_tokens).
std::vector<std::string> shown_tokens(const OutputOptions& options);

}  // namespace longhaul
