// What readers of conversations share, whatever shape of the API these have.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "server/chat_request.h"

namespace longhaul {

// The value of a field that may be left out; null: it is.
const nlohmann::json& member(const nlohmann::json& object, std::string_view name);
// A text that may be left out.
Status read_text(const nlohmann::json& object, std::string_view name, std::string& target);

// The content of a message: nothing, a text, or parts of text of one of these types, which are
// joined.
Status read_content(const nlohmann::json& value, std::span<const std::string_view> types,
                    std::string& content);

// A list in the field `name` of the body. `read` is given each item and its
// text as it was sent, which may be empty; `what` names an item in errors: "tool 3: ...".
using ItemReader = std::function<Status(const nlohmann::json& item, std::string_view sent)>;
FieldReader list_of(std::string_view what, std::string_view name, std::string_view body,
                    ItemReader read);
inline constexpr size_t kMostTools = 512;

// Adds a tool as chat templates know it. `parameters`: a JSON schema, null for none;
// `sent_parameters`: its text as it was sent, for the order of its members; may be empty.
Status add_tool(const std::string& name, const std::string& description,
                const nlohmann::json& parameters, std::string_view sent_parameters,
                ChatRequest& request);

// The variable that tells a template how long to think. chat_template_kwargs says more.
FieldReader reasoning_effort(ChatRequest& request);

// "none", "auto", "required" or a function by its name.
Status read_tool_choice(const nlohmann::json& value, ChatRequest& request);
// The tool that an object names is the one to be called.
Status force_tool(const nlohmann::json& named, ChatRequest& request);

}  // namespace longhaul
