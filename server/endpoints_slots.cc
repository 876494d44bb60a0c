// /slots: what runs and what it attends to, and the text of a slot to a file and back.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "server/endpoints.h"
#include "server/page_key.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// Columns of the strip that shows what a step attended to.
constexpr size_t kStripColumns = 96;
constexpr size_t kMostNameBytes = 128;

double ms_since(Clock::time_point then) {
  return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
}

// A digit for each column, from 0 (no layer and KV head read any block of it) to 9 (all of them
// read one). The newest block is read by all.
std::string strip(const std::vector<uint32_t>& counts) {
  const size_t n_columns = std::min(kStripColumns, counts.size());
  std::string digits(n_columns, '0');
  for (size_t i = 0; i < counts.size(); ++i) {
    const uint32_t digit = (counts[i] * 9 + counts.back() - 1) / counts.back();
    char& shown = digits[i * n_columns / counts.size()];
    shown = std::max(shown, static_cast<char>('0' + std::min<uint32_t>(digit, 9)));
  }
  return digits;
}

Json activity_json(const SlotActivity& activity) {
  const bool has_strip = activity.is_sparse && !activity.block_counts.empty();
  return {{"request_id", activity.request_id.empty() ? Json() : Json(activity.request_id)},
          {"attention", to_string(activity.mode)},
          {"n_tokens", activity.n_tokens},
          {"is_sparse", activity.is_sparse},
          {"strip", has_strip ? Json(strip(activity.block_counts)) : Json()},
          {"rectifications", activity.n_rectifications},
          {"rectified_tokens", activity.n_rectified}};
}

// A name that stays in the folder: of letters, digits and "-_.", not beginning with a dot.
bool is_file_name(std::string_view name) {
  const auto is_fit = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kMostNameBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_fit);
}

// Owners do not see each other's files.
std::filesystem::path folder_of(const Services& services, size_t owner) {
  const std::filesystem::path folder = services.options.slot_folder;
  if (owner == 0) return folder;
  const std::string& key = services.options.api_keys[owner - 1];
  return folder / to_hex(Sha256().update(std::as_bytes(std::span(key))).digest()).substr(0, 16);
}

tl::expected<std::string, ApiError> path_of(const Services& services, const Call& call,
                                            std::string& filename) {
  if (services.options.slot_folder.empty()) {
    return tl::unexpected<ApiError>(
        not_supported("expected a server with --slot-save-path, which names the folder for slots"));
  }
  const auto body = json_body(call);
  if (!body) return tl::unexpected<ApiError>(body.error());
  if (body->is_object() && body->contains("filename") && (*body)["filename"].is_string())
    filename = (*body)["filename"].get<std::string>();
  if (!is_file_name(filename)) {
    return tl::unexpected<ApiError>(
        ApiError{.message = fmt::format("filename: expected at most {} letters, digits and -_., "
                                        "the first one no dot, found '{}'",
                                        kMostNameBytes, filename),
                 .param = "filename"});
  }
  return (folder_of(services, call.owner) / filename).string();
}

ApiStatus no_text(size_t slot) {
  return refuse({.status = 409,
                 .message = fmt::format("slot {} holds no text of which enough is kept", slot),
                 .code = "slot_empty"});
}

ApiStatus save(Services& services, Call& call, size_t slot) {
  const auto begun_at = Clock::now();
  std::string filename;
  const auto path = path_of(services, call, filename);
  if (!path) return refuse(path.error());
  auto session = services.prefixes.copy_of(services.slots.text(slot, call.owner), call.owner);
  if (!session) return refuse(to_api_error(session.error()));
  if (!*session) return no_text(slot);
  std::error_code error;
  std::filesystem::create_directories(folder_of(services, call.owner), error);
  if (Status status = (*session)->save(*path); !status) return refuse(to_api_error(status.error()));
  call.exchange->reply(json_reply({{"id_slot", slot},
                                   {"filename", filename},
                                   {"n_saved", (*session)->tokens().size()},
                                   {"n_written", std::filesystem::file_size(*path, error)},
                                   {"timings", {{"save_ms", ms_since(begun_at)}}}}));
  return {};
}

ApiStatus restore(Services& services, Call& call, size_t slot) {
  const auto begun_at = Clock::now();
  std::string filename;
  const auto path = path_of(services, call, filename);
  if (!path) return refuse(path.error());
  std::error_code error;
  const auto n_bytes = std::filesystem::file_size(*path, error);
  if (error) return refuse(not_found("no such file: " + filename));
  auto session = services.engine.new_session();
  if (!session) return refuse(to_api_error(session.error()));
  const auto n_tokens = session->restore(*path);
  if (!n_tokens) return refuse(to_api_error(n_tokens.error(), "filename"));
  std::vector<int32_t> tokens(session->tokens().begin(), session->tokens().end());
  if (!services.prefixes.keep(std::move(*session), call.owner))
    return refuse(not_supported("expected room among the kept prompts for a restored text"));
  services.slots.set(slot, std::move(tokens), call.owner);
  call.exchange->reply(json_reply({{"id_slot", slot},
                                   {"filename", filename},
                                   {"n_restored", *n_tokens},
                                   {"n_read", n_bytes},
                                   {"timings", {{"restore_ms", ms_since(begun_at)}}}}));
  return {};
}

ApiStatus erase(Services& services, Call& call, size_t slot) {
  const std::vector<int32_t> tokens = services.slots.text(slot, call.owner);
  services.prefixes.forget(tokens, call.owner);
  services.slots.set(slot, {}, call.owner);
  call.exchange->reply(json_reply({{"id_slot", slot}, {"n_erased", tokens.size()}}));
  return {};
}

}  // namespace

ApiStatus list_slots(Services& services, Call& call) {
  Json slots = Json::array();
  for (const Slots::View& view : services.slots.view(call.owner)) {
    Json slot = {{"id", slots.size()},
                 {"n_ctx", services.engine.options().ctx_size},
                 {"is_processing", view.is_processing},
                 {"n_tokens", view.n_tokens}};
    if (view.activity) slot["longhaul"] = activity_json(*view.activity);
    slots.push_back(std::move(slot));
  }
  call.exchange->reply(json_reply(slots));
  return {};
}

ApiStatus act_on_slot(Services& services, Call& call) {
  size_t slot = 0;
  const char* const end = call.argument.data() + call.argument.size();
  const bool is_number = std::from_chars(call.argument.data(), end, slot).ptr == end;
  if (!is_number || slot >= services.slots.size()) {
    return refuse(not_found(fmt::format("no such slot: expected a number below {}, found {}",
                                        services.slots.size(), call.argument)));
  }
  const auto action = value_of_query(call.request.query, "action").value_or("");
  if (action == "save") return save(services, call, slot);
  if (action == "restore") return restore(services, call, slot);
  if (action == "erase") return erase(services, call, slot);
  return refuse(
      {.message = fmt::format("action: expected save, restore or erase, found '{}'", action),
       .param = "action"});
}

}  // namespace longhaul
