// The endpoints of the API, one file for each family.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/chat_format.h"
#include "server/http.h"
#include "server/json_fields.h"
#include "server/kept_requests.h"
#include "server/metrics.h"
#include "server/runner.h"
#include "server/server_options.h"
#include "server/slots.h"

namespace longhaul {

// What endpoints work with.
struct Services {
  Engine& engine;
  const ServerOptions& options;
  Runner& runner;
  Metrics& metrics;
  KeptRequests& kept;
  const ChatFormat& chat_format;
  PrefixCache& prefixes;
  Slots& slots;
};

// A request at an endpoint.
struct Call {
  HttpRequest request;
  std::string argument;  // what follows the path of the route: a model's id
  size_t owner = 0;      // the number of its key, from 1; 0 without keys
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<const KeptCall> kept = nullptr;  // of a request that is kept
  const ErrorWords* errors = &openai_errors();
};

struct Route {
  std::string_view method;
  std::string_view path;  // without /v1; with a '/' at its end an argument follows
  Endpoint endpoint;
  // Answered by the thread of the connections: takes microseconds.
  bool is_quick = false;
  // For everybody and at every time: needs no key, and goes on while the server stops.
  bool is_open = false;
  // Whether it may go on without its client (kept_requests.h): where its head has an id, or as the
  // endpoint itself decides.
  enum class Kept : uint8_t { kNever, kById, kByEndpoint } kept = Kept::kNever;
  const ErrorWords& (*errors)() = openai_errors;
};

// Every route there is.
std::span<const Route> routes();
// The route of a request and what follows its path. Error: no such path, or not with that method.
struct Routed {
  const Route* route = nullptr;
  std::string argument;
};
tl::expected<Routed, ApiError> find_route(std::string_view method, std::string_view path);

// endpoints_info.cc
ApiStatus health(Services& services, Call& call);
ApiStatus list_models(Services& services, Call& call);
ApiStatus show_model(Services& services, Call& call);
ApiStatus show_props(Services& services, Call& call);
ApiStatus show_metrics(Services& services, Call& call);
// endpoints_tokens.cc
ApiStatus tokenize(Services& services, Call& call);
ApiStatus detokenize(Services& services, Call& call);
ApiStatus apply_template(Services& services, Call& call);
// endpoints_generate.cc
ApiStatus complete(Services& services, Call& call);
ApiStatus chat(Services& services, Call& call);
uint64_t seed_by_chance();
// endpoints_responses.cc
ApiStatus respond(Services& services, Call& call);
ApiStatus show_response(Services& services, Call& call);
ApiStatus cancel_response(Services& services, Call& call);
ApiStatus delete_response(Services& services, Call& call);
// endpoints_embeddings.cc
ApiStatus embed(Services& services, Call& call);
// endpoints_messages.cc
ApiStatus message(Services& services, Call& call);
ApiStatus count_message_tokens(Services& services, Call& call);
// endpoints_page.cc
ApiStatus show_page(Services& services, Call& call);
// endpoints_slots.cc
ApiStatus list_slots(Services& services, Call& call);
ApiStatus act_on_slot(Services& services, Call& call);
// endpoints_kept.cc
ApiStatus list_requests(Services& services, Call& call);
ApiStatus show_request(Services& services, Call& call);
ApiStatus cancel_request(Services& services, Call& call);
ApiStatus delete_request(Services& services, Call& call);

// What "a=1&b=2" says of a name.
std::optional<std::string_view> value_of_query(std::string_view query, std::string_view name);
// The body of a request. Error: no JSON.
tl::expected<nlohmann::json, ApiError> json_body(const Call& call);
ApiError to_api_error(const FieldError& error);

}  // namespace longhaul
