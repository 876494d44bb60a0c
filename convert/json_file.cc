#include "convert/json_file.h"

#include <cmath>
#include <unordered_set>
#include <vector>

#include "io/mapped_file.h"

namespace longhaul {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kShownBytes = 60;

// Thrown through the parser, which has no other way to be stopped.
struct Refused {
  std::string message;
};

// Watches a document being parsed: keeps the keys of every object that is open.
class Watcher {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    const auto level = static_cast<size_t>(depth);
    if (depth > kMaxDepth) throw Refused{fmt::format("more than {} levels", kMaxDepth)};
    if (event == Json::parse_event_t::object_start) {
      if (keys_.size() < level + 2) keys_.resize(level + 2);
      keys_[level + 1].clear();
    }
    if (event == Json::parse_event_t::key &&
        !keys_[level].insert(value.get_ref<const std::string&>()).second) {
      throw Refused{fmt::format("key '{}' stands there twice", value.get<std::string>())};
    }
    return true;
  }

 private:
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

Result<Json> parse_document(std::string_view text, const std::string& name) {
  Watcher watcher;
  const auto watch = [&watcher](int depth, Json::parse_event_t event, Json& value) {
    return watcher(depth, event, value);
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& error) {
    return bad_input("{}: expected JSON, found: {}", name, error.what());
  } catch (const Refused& refused) {
    return bad_input("{}: {}", name, refused.message);
  }
}

Result<Json> read_document(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  return parse_document({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

std::string snippet(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

Result<JsonFields> JsonFields::of(const Json& object, std::string file, std::string within) {
  if (!object.is_object()) {
    return bad_input("{}: {}expected an object, found {}", file,
                     within.empty() ? "" : fmt::format("'{}': ", within), snippet(object));
  }
  return JsonFields(object, std::move(file), std::move(within));
}

const Json* JsonFields::find(std::string_view key) const {
  const auto found = object_->find(std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

tl::unexpected<Error> JsonFields::wrong(std::string_view key, std::string_view expected) const {
  const Json* value = find(key);
  return bad_input("{}: key '{}{}': expected {}, found {}", file_, within_, key, expected,
                   value == nullptr ? "nothing" : snippet(*value));
}

Result<size_t> JsonFields::size(std::string_view key, size_t max) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number_unsigned() || value->get<uint64_t>() == 0 ||
      value->get<uint64_t>() > max) {
    return wrong(key, fmt::format("a whole number from 1 to {}", max));
  }
  return value->get<size_t>();
}

Result<size_t> JsonFields::size_or(std::string_view key, size_t max, size_t fallback) const {
  if (!has(key)) return fallback;
  return size(key, max);
}

Result<double> JsonFields::number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>()))
    return wrong(key, "a finite number");
  return value->get<double>();
}

Result<double> JsonFields::number_or(std::string_view key, double fallback) const {
  if (!has(key)) return fallback;
  return number(key);
}

Result<bool> JsonFields::flag_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> JsonFields::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_string()) return wrong(key, "a text");
  return value->get<std::string>();
}

Result<std::string> JsonFields::text_or(std::string_view key, std::string_view fallback) const {
  if (!has(key)) return std::string(fallback);
  return text(key);
}

Result<JsonFields> JsonFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_object()) return wrong(key, "an object");
  return JsonFields(*value, file_, fmt::format("{}{}.", within_, key));
}

}  // namespace longhaul
