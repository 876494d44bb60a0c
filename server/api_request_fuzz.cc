// Hostile bodies: whatever the bytes, reading them is an Error or a request within its limits.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/message_request.h"
#include "server/response_request.h"

namespace longhaul {
namespace {

void check(const tl::expected<ApiRequest, FieldError>& request) {
  if (!request) {
    LH_CHECK(!request.error().error.message.empty());
    return;
  }
  const GenerateRequest& generate = request->generate;
  LH_CHECK(request->n >= 1 && request->n_choices() >= 1);
  LH_CHECK(generate.sampling.temperature >= 0);
  LH_CHECK(generate.sampling.top_p >= 0 && generate.sampling.top_p <= 1);
  LH_CHECK(!request->prompts.empty() || !request->chat.messages.empty());
  for (const std::string& stop : generate.stop) LH_CHECK(!stop.empty());
}

void check_response(const nlohmann::json& body, std::string_view text) {
  auto request = parse_response(body, {}, text);
  if (!request) {
    LH_CHECK(!request.error().error.message.empty());
    return;
  }
  LH_CHECK(!request->api.chat.messages.empty() && request->api.n == 1);
  const size_t n_messages = request->api.chat.messages.size();
  put_together(*request, {});
  LH_CHECK(request->api.chat.messages.size() <= n_messages + 1);
}

}  // namespace
}  // namespace longhaul

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = parse_json(text);
  if (!body) {
    LH_CHECK(!body.error().message.empty());
    return 0;
  }
  LH_CHECK(shown(*body).size() <= 60);
  check(parse_completion(*body, {}, text));
  check(parse_chat(*body, {}, text));
  check(parse_message(*body, {}, text));
  check_response(*body, text);
  LH_CHECK(sent_member(text, "tools").size() <= size);
  for (const std::string_view item : sent_items(sent_member(text, "messages")))
    LH_CHECK(item.size() <= size);
  return 0;
}
