#include "server/json_fields.h"

#include <algorithm>
#include <optional>

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 64;
constexpr size_t kShownBytes = 60;

constexpr std::string_view kBlanks = " \t\r\n";

// Where the text in quotes that begins at `at` ends.
size_t end_of_text(std::string_view document, size_t at) {
  for (++at; at < document.size() && document[at] != '"'; ++at) at += document[at] == '\\' ? 1 : 0;
  return std::min(at + 1, document.size());
}

// Where the value that begins at `at` ends, or the white space behind it.
size_t end_of_value(std::string_view document, size_t at) {
  size_t depth = 0;
  while (at < document.size()) {
    const char byte = document[at];
    const bool ends = byte == ',' || byte == '}' || byte == ']';
    if (ends && depth == 0) return at;
    if (byte == '{' || byte == '[') ++depth;
    if (byte == '}' || byte == ']') --depth;
    at = byte == '"' ? end_of_text(document, at) : at + 1;
  }
  return at;
}

}  // namespace

Error FieldError::as_error() const {
  if (field.empty()) return error;
  return {error.code, fmt::format("{}: {}", field, error.message)};
}

Result<Json> parse_json(std::string_view text) {
  bool is_too_deep = false;
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    is_too_deep |= depth > kDeepest;
    return !is_too_deep;
  };
  Json json = Json::parse(text, check_depth, /*allow_exceptions=*/false);
  if (is_too_deep) return bad_input("expected JSON of at most {} levels, found more", kDeepest);
  if (json.is_discarded()) {
    return bad_input("expected JSON, found {}",
                     text.empty() ? "nothing" : shown(Json(text.substr(0, kShownBytes + 1))));
  }
  return json;
}

std::string_view sent_member(std::string_view document, std::string_view name) {
  std::string_view found;
  size_t at = document.find_first_not_of(kBlanks);
  if (at == std::string_view::npos || document[at] != '{') return found;
  while ((at = document.find('"', at)) != std::string_view::npos) {
    const size_t key_end = end_of_text(document, at);
    const std::string_view key = document.substr(at + 1, key_end - at - 2);
    const size_t colon = document.find(':', key_end);
    const size_t begin = document.find_first_not_of(kBlanks, colon + 1);
    if (colon == std::string_view::npos || begin == std::string_view::npos) break;
    const size_t end = end_of_value(document, begin);
    if (key == name) found = document.substr(begin, end - begin);
    at = end;
  }
  return found.substr(0, found.find_last_not_of(kBlanks) + 1);
}

std::vector<std::string_view> sent_items(std::string_view document) {
  std::vector<std::string_view> items;
  size_t at = document.find_first_not_of(kBlanks);
  if (at == std::string_view::npos || document[at] != '[') return items;
  do {
    const size_t begin = document.find_first_not_of(kBlanks, at + 1);
    if (begin == std::string_view::npos || document[begin] == ']') break;
    at = end_of_value(document, begin);
    const std::string_view item = document.substr(begin, at - begin);
    items.push_back(item.substr(0, item.find_last_not_of(kBlanks) + 1));
  } while (at < document.size() && document[at] == ',');
  return items;
}

std::string shown(const Json& value) {
  // A long list or text is not written out only to be cut.
  if (value.is_structured() && value.size() > kShownBytes)
    return fmt::format("{} of {} values", value.is_array() ? "a list" : "an object", value.size());
  if (value.is_string() && value.get_ref<const std::string&>().size() > kShownBytes)
    return shown(Json(value.get_ref<const std::string&>().substr(0, kShownBytes - 10)));
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes - 3) + "...";
  return text;
}

FieldStatus read_fields(const Json& object, const FieldReaders& readers, UnknownFields unknown) {
  const auto refuse = [](std::string_view field, Error error) {
    return tl::unexpected<FieldError>(FieldError{std::string(field), std::move(error)});
  };
  if (!object.is_object())
    return refuse({}, bad_input("expected an object, found {}", shown(object)).value());
  for (const auto& [name, value] : object.items()) {
    const auto reader = readers.find(name);
    if (reader == readers.end()) {
      if (unknown == UnknownFields::kIgnored) continue;
      std::string known;
      for (const auto& [key, unused] : readers)
        known += (known.empty() ? "" : ", ") + std::string(key);
      return refuse(name, bad_input("expected one of the fields {}", known).value());
    }
    if (value.is_null()) continue;
    if (Status status = reader->second(value); !status)
      return refuse(name, std::move(status.error()));
  }
  return {};
}

FieldReader fields(FieldReaders readers, UnknownFields unknown) {
  return [readers = std::move(readers), unknown](const Json& value) -> Status {
    const FieldStatus status = read_fields(value, readers, unknown);
    if (!status) return tl::unexpected<Error>(status.error().as_error());
    return {};
  };
}

FieldReader count(size_t& target, size_t least, size_t most) {
  return [&target, least, most](const Json& value) -> Status {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() >= least &&
                      value.get<uint64_t>() <= most;
    if (!fits) {
      return bad_input("expected a whole number from {} to {}, found {}", least, most,
                       shown(value));
    }
    target = value.get<size_t>();
    return {};
  };
}

FieldReader flag(bool& target) {
  return [&target](const Json& value) -> Status {
    if (!value.is_boolean()) return bad_input("expected true or false, found {}", shown(value));
    target = value.get<bool>();
    return {};
  };
}

FieldReader text(std::string& target) {
  return [&target](const Json& value) -> Status {
    if (!value.is_string()) return bad_input("expected a text, found {}", shown(value));
    target = value.get<std::string>();
    return {};
  };
}

FieldReader texts(std::vector<std::string>& target) {
  return [&target](const Json& value) -> Status {
    const auto add = [&](const Json& item) -> Status {
      if (!item.is_string() || item.get_ref<const std::string&>().empty())
        return bad_input("expected texts that are not empty, found {}", shown(item));
      target.push_back(item.get<std::string>());
      return {};
    };
    target.clear();
    if (value.is_string()) return add(value);
    if (!value.is_array())
      return bad_input("expected a text or a list of texts, found {}", shown(value));
    for (const Json& item : value) LH_RETURN_IF_ERROR(add(item));
    return {};
  };
}

FieldReader token_ids(std::vector<int32_t>& target) {
  return [&target](const Json& value) -> Status {
    if (!value.is_array()) return bad_input("expected a list of token ids, found {}", shown(value));
    target.clear();
    for (const Json& id : value) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<int32_t>::max())
        return bad_input("expected token ids, found {}", shown(id));
      target.push_back(id.get<int32_t>());
    }
    return {};
  };
}

namespace {

template <class T>
FieldReader real_of(T& target, double least, double most) {
  return [&target, least, most](const Json& value) -> Status {
    if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most)) {
      return bad_input("expected a number from {} to {}, found {}", least, most, shown(value));
    }
    target = static_cast<T>(value.get<double>());
    return {};
  };
}

}  // namespace

FieldReader real(double& target, double least, double most) { return real_of(target, least, most); }
FieldReader real(float& target, double least, double most) { return real_of(target, least, most); }

FieldReader seed(uint64_t& target) {
  return [&target](const Json& value) -> Status {
    if (!value.is_number_integer())
      return bad_input("expected a whole number, found {}", shown(value));
    target = value.is_number_unsigned() ? value.get<uint64_t>()
                                        : static_cast<uint64_t>(value.get<int64_t>());
    return {};
  };
}

}  // namespace longhaul
