// /responses: answers that are kept, gone on from, and run in the background.
#include <charconv>
#include <nlohmann/json.hpp>

#include "server/generation.h"
#include "server/response_request.h"
#include "server/response_shape.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostTurns = 1000;

// A response that is kept; nothing: it is another kind of request, or none.
tl::expected<std::optional<StoredRequest>, ApiError> find_response(Services& services, size_t owner,
                                                                   const std::string& id) {
  auto stored = services.kept.stored(owner, kept_id_of(id));
  if (!stored) return tl::unexpected<ApiError>(to_api_error(stored.error()));
  if (*stored && !(*stored)->path.ends_with("/responses")) return std::nullopt;
  return std::move(*stored);
}

ApiStatus no_response(const std::string& id) {
  return refuse(not_found("no such response: " + id));
}

ApiStatus bad_previous(const std::string& what) {
  return refuse({.message = "previous_response_id: " + what,
                 .param = "previous_response_id",
                 .code = "previous_response_not_found"});
}

// The responses that lead to one, the newest first.
ApiStatus find_turns(Services& services, size_t owner, std::string id,
                     std::vector<StoredRequest>& turns) {
  size_t n_bytes = 0;
  while (!id.empty()) {
    auto stored = find_response(services, owner, id);
    if (!stored) return refuse(stored.error());
    if (!*stored) return bad_previous("expected the id of a response that is kept, found " + id);
    if ((*stored)->state != RequestState::kDone)
      return bad_previous("expected a response that is over and has not failed, found " + id);
    n_bytes += (*stored)->body.size();
    if (turns.size() == kMostTurns || n_bytes > services.options.connections.max_body_bytes)
      return bad_previous("its conversation is too long: send it as input");
    const auto body = nlohmann::json::parse((*stored)->body, nullptr, false);
    turns.push_back(std::move(**stored));
    const auto previous = body.find("previous_response_id");
    id = previous == body.end() || previous->is_null() ? "" : previous->get<std::string>();
  }
  return {};
}

// What was said up to the response that this one goes on from.
ApiStatus read_past(Services& services, size_t owner, const std::string& id,
                    std::vector<ApiMessage>& past) {
  std::vector<StoredRequest> turns;
  if (ApiStatus status = find_turns(services, owner, id, turns); !status) return status;
  for (auto turn = turns.rbegin(); turn != turns.rend(); ++turn) {
    const nlohmann::json body = nlohmann::json::parse(turn->body, nullptr, false);
    const nlohmann::json answer = response_of(turn->answer, turn->is_stream);
    for (const nlohmann::json& said : {body.value("input", nlohmann::json::array()),
                                       answer.value("output", nlohmann::json::array())}) {
      if (const Status status = read_items(said, past); !status)
        return refuse(to_api_error(status.error(), "previous_response_id"));
    }
  }
  return {};
}

// A response as it stands.
Json document_of(const Services& services, const StoredRequest& stored) {
  if (stored.state == RequestState::kDone) return response_of(stored.answer, stored.is_stream);
  const ResponseHead head{{stored.id, stored.created},
                          services.options.model_id,
                          nlohmann::json::parse(stored.body, nullptr, false)};
  if (stored.state == RequestState::kRunning)
    return response_without_output(head, "in_progress", nullptr);
  if (stored.is_stream) return response_of(stored.answer, true);
  const Json error = Json::parse(stored.answer, nullptr, false).value("error", Json::object());
  const Json code = error.value("code", Json());
  return response_without_output(head, to_string(stored.state),
                                 {{"code", code.is_null() ? error.value("type", Json()) : code},
                                  {"message", error.value("message", Json())}});
}

ApiStatus reply_with(Services& services, Call& call, const std::string& id) {
  const auto stored = find_response(services, call.owner, id);
  if (!stored) return refuse(stored.error());
  if (!*stored) return no_response(id);
  call.exchange->reply(json_reply(document_of(services, **stored)));
  return {};
}

// Runs it so that it can go on without its client.
ApiStatus respond_apart(Services& services, Call& call, const ResponseRequest& request) {
  std::string& id = call.request.request_id;
  if (id.empty()) id = new_identity().id;
  if (!request.is_background || request.api.is_stream)
    return services.kept.run(services, call, respond);
  // The client is told who the response is, and leaves.
  const std::shared_ptr<Exchange> client = call.exchange;
  const ApiStatus status = services.kept.run_apart(services, call, respond);
  call.exchange = client;
  return status ? reply_with(services, call, response_id(id)) : status;
}

tl::expected<std::optional<size_t>, ApiError> number_of_query(std::string_view query,
                                                              std::string_view name) {
  const auto value = value_of_query(query, name);
  if (!value) return std::nullopt;
  size_t number = 0;
  const auto [last, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error == std::errc() && last == value->data() + value->size()) return number;
  return tl::unexpected<ApiError>(
      ApiError{.message = std::string(name) + ": expected a number, found " + std::string(*value),
               .param = std::string(name)});
}

}  // namespace

ApiStatus respond(Services& services, Call& call) {
  const auto body = json_body(call);
  if (!body) return refuse(body.error());
  auto request = parse_response(*body, services.options.defaults, call.request.body);
  if (!request) return refuse(to_api_error(request.error()));
  const bool is_apart = request->is_background || !call.request.request_id.empty();
  if (is_apart && call.kept == nullptr) return respond_apart(services, call, *request);
  std::vector<ApiMessage> past;
  if (ApiStatus status = read_past(services, call.owner, request->previous_id, past); !status)
    return status;
  put_together(*request, std::move(past));
  ResponseHead head{identity_of(call), services.options.model_id, *body};
  if (request->is_stored && call.kept == nullptr)
    call.exchange = services.kept.keep_answer(call, head.identity.id, head.identity.created);
  return generate_chat(services, call, request->api, make_response_shape(std::move(head)));
}

ApiStatus show_response(Services& services, Call& call) {
  if (value_of_query(call.request.query, "stream") != "true")
    return reply_with(services, call, call.argument);
  const auto after = number_of_query(call.request.query, "starting_after");
  if (!after) return refuse(after.error());
  const auto stored = find_response(services, call.owner, call.argument);
  if (!stored) return refuse(stored.error());
  if (!*stored) return no_response(call.argument);
  const auto body = nlohmann::json::parse((*stored)->body, nullptr, false);
  if (body.value("stream", nlohmann::json()) != true)
    return refuse({.message = "stream: expected false, as the response was not asked for as a "
                              "stream, found true",
                   .param = "stream"});
  // Their numbers begin with 0, those of kept events with 1.
  const size_t n_seen = *after ? **after + 1 : call.request.last_event_id;
  const auto followed = services.kept.follow(call.owner, (*stored)->id, n_seen, call.exchange);
  if (!followed) return refuse(to_api_error(followed.error()));
  return *followed ? ApiStatus() : no_response(call.argument);
}

ApiStatus cancel_response(Services& services, Call& call) {
  constexpr std::string_view kCancel = "/cancel";
  if (!call.argument.ends_with(kCancel))
    return refuse(not_found("no such path: " + call.request.path));
  const std::string id = call.argument.substr(0, call.argument.size() - kCancel.size());
  auto stored = find_response(services, call.owner, id);
  if (!stored) return refuse(stored.error());
  if (!*stored) return no_response(id);
  if (const auto ended = services.kept.cancel(call.owner, (*stored)->id); !ended)
    return refuse(to_api_error(ended.error()));
  StoredRequest& found = **stored;
  if (found.state != RequestState::kRunning) return reply_with(services, call, id);
  found.state = RequestState::kCancelled;  // it will be, unless it is over by then
  found.answer = "{}";
  found.is_stream = false;
  Json document = document_of(services, found);
  document["error"] = nullptr;
  call.exchange->reply(json_reply(document));
  return {};
}

ApiStatus delete_response(Services& services, Call& call) {
  const auto stored = find_response(services, call.owner, call.argument);
  if (!stored) return refuse(stored.error());
  if (!*stored) return no_response(call.argument);
  if (const auto removed = services.kept.remove(call.owner, (*stored)->id); !removed)
    return refuse(to_api_error(removed.error()));
  call.exchange->reply(
      json_reply({{"id", call.argument}, {"object", "response"}, {"deleted", true}}));
  return {};
}

}  // namespace longhaul
