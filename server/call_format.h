// How models write calls of tools into their text: marks around JSON objects that have a name and
// arguments. One file for each format: call_format_NAME.cc, named in call_format.cc.
#pragma once

#include <span>
#include <string_view>

namespace longhaul {

struct CallFormat {
  std::string_view name;     // "hermes"
  std::string_view opening;  // stands before a call, or before a list of them
  std::string_view closing;  // stands behind it; empty: nothing does
  bool has_list = false;     // behind the opening may stand a JSON list of calls
  // The whole text may be calls without the opening, one behind the other with `;` or white space
  // between them: then only calls of tools that the request names are any.
  bool may_be_bare = false;
  // What an answer that has to be a call is made to begin with, and the word for arguments then.
  std::string_view forced = {};
  std::string_view arguments = "arguments";
  // Whether a chat template is that of a model which writes so.
  bool (*is_of)(std::string_view chat_template) = nullptr;
};

extern const CallFormat kHermesCalls, kLlamaCalls, kMistralCalls;

std::span<const CallFormat* const> call_formats();
// The format of a model by the source of its chat template; null: none that is known.
const CallFormat* find_call_format(std::string_view chat_template);

}  // namespace longhaul
