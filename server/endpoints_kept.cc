// Requests that go on without their clients: who they are, and the way back to them.
#include <charconv>
#include <nlohmann/json.hpp>

#include "server/endpoints.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const RequestStore::Entry& entry) {
  return {{"id", entry.request.id},
          {"object", "longhaul.request"},
          {"created", entry.request.created},
          {"path", entry.request.path},
          {"state", to_string(entry.request.state)},
          {"status", entry.request.status == 0 ? Json() : Json(entry.request.status)},
          {"tokens", entry.n_tokens},
          {"bytes", entry.n_bytes}};
}

ApiStatus no_request(const std::string& id) { return refuse(not_found("no such request: " + id)); }

// "ID/events" as the id, if the argument ends so.
std::optional<std::string> id_before(std::string_view end, const Call& call) {
  if (!call.argument.ends_with(end)) return std::nullopt;
  return call.argument.substr(0, call.argument.size() - end.size());
}

ApiStatus follow(Services& services, Call& call, const std::string& id) {
  size_t after = call.request.last_event_id;
  constexpr std::string_view kAfter = "after=";
  const std::string& query = call.request.query;
  if (query.starts_with(kAfter)) {
    const char* const end = query.data() + query.size();
    if (std::from_chars(query.data() + kAfter.size(), end, after).ptr != end) {
      return refuse({.message = "after: expected the number of an event, found " +
                                query.substr(kAfter.size()),
                     .param = "after"});
    }
  }
  const auto followed = services.kept.follow(call.owner, id, after, call.exchange);
  if (!followed) return refuse(to_api_error(followed.error()));
  return *followed ? ApiStatus() : no_request(id);
}

}  // namespace

ApiStatus list_requests(Services& services, Call& call) {
  const auto entries = services.kept.list(call.owner);
  if (!entries) return refuse(to_api_error(entries.error()));
  Json data = Json::array();
  for (const RequestStore::Entry& entry : *entries) data.push_back(to_json(entry));
  call.exchange->reply(json_reply({{"object", "list"}, {"data", std::move(data)}}));
  return {};
}

ApiStatus show_request(Services& services, Call& call) {
  if (const auto id = id_before("/events", call)) return follow(services, call, *id);
  const auto entry = services.kept.find(call.owner, call.argument);
  if (!entry) return refuse(to_api_error(entry.error()));
  if (!*entry) return no_request(call.argument);
  call.exchange->reply(json_reply(to_json(**entry)));
  return {};
}

ApiStatus cancel_request(Services& services, Call& call) {
  const auto id = id_before("/cancel", call);
  if (!id) return refuse(not_found("no such path: " + call.request.path));
  const auto is_there = services.kept.cancel(call.owner, *id);
  if (!is_there) return refuse(to_api_error(is_there.error()));
  if (!*is_there) return no_request(*id);
  call.exchange->reply(json_reply({{"id", *id}, {"object", "longhaul.request"}}));
  return {};
}

ApiStatus delete_request(Services& services, Call& call) {
  const auto is_there = services.kept.remove(call.owner, call.argument);
  if (!is_there) return refuse(to_api_error(is_there.error()));
  if (!*is_there) return no_request(call.argument);
  call.exchange->reply(
      json_reply({{"id", call.argument}, {"object", "longhaul.request"}, {"deleted", true}}));
  return {};
}

}  // namespace longhaul
