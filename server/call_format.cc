#include "server/call_format.h"

namespace longhaul {
namespace {

// The first that takes a template for its own counts.
constexpr const CallFormat* kFormats[] = {&kHermesCalls, &kMistralCalls, &kLlamaCalls};

}  // namespace

std::span<const CallFormat* const> call_formats() { return kFormats; }

const CallFormat* find_call_format(std::string_view chat_template) {
  for (const CallFormat* format : kFormats) {
    if (format->is_of(chat_template)) return format;
  }
  return nullptr;
}

}  // namespace longhaul
