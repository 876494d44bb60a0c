#include "server/answer_format.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;
using Made = Result<std::shared_ptr<const Grammar>>;

bool is_nothing(const Json& value) {
  return value.is_string() && value.get_ref<const std::string&>().empty();
}

using Path = std::vector<std::string_view>;

// A value with its members in the order they were sent in, by the fields of the body that lead to
// it; in that of their names where there is no body.
std::string sent_text(std::string_view body, const Path& path, const Json& value) {
  for (const std::string_view name : path) body = sent_member(body, name);
  if (!body.empty()) return std::string(body);
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A schema, or one written into a text.
Made schema(const Json& value, std::string_view body, const Path& path) {
  if (value.is_string()) return grammar_of_schema(value.get_ref<const std::string&>());
  if (!value.is_object() && !value.is_boolean())
    return bad_input("expected a JSON schema, found {}", shown(value));
  return grammar_of_schema(sent_text(body, path, value));
}

// {"type": "text"}, {"type": "json_object"} with or without "schema", {"type": "json_schema"} with
// "json_schema": {"schema"} or "schema". Null: any text.
Made response_format(const Json& value, std::string_view body, Path path) {
  if (!value.is_object() || !value.contains("type"))
    return bad_input("expected an object with a type, found {}", shown(value));
  const Json& type = value["type"];
  if (type == "text") return nullptr;
  if (type != "json_object" && type != "json_schema")
    return unsupported("this server can do text, json_object and json_schema, found {}",
                       shown(type));
  if (value.contains("schema")) {
    path.emplace_back("schema");
    return schema(value["schema"], body, path);
  }
  if (type == "json_object") return grammar_of_json_object();
  const Json inner = value.value("json_schema", Json());
  if (!inner.is_object() || !inner.contains("schema"))
    return bad_input("json_schema: expected an object with a schema, found {}", shown(inner));
  path.insert(path.end(), {"json_schema", "schema"});
  return schema(inner["schema"], body, path);
}

Made gbnf(const Json& value) {
  if (!value.is_string()) return bad_input("expected a grammar as a text, found {}", shown(value));
  return parse_gbnf(value.get_ref<const std::string&>());
}

FieldReader reader(std::shared_ptr<const Grammar>& target, std::function<Made(const Json&)> make) {
  return [&target, make = std::move(make)](const Json& value) -> Status {
    if (is_nothing(value)) return {};
    LH_ASSIGN_OR_RETURN(auto made, make(value));
    if (made == nullptr) return {};
    if (target != nullptr)
      return bad_input("expected one field that says what the answer looks like, found another");
    target = std::move(made);
    return {};
  };
}

}  // namespace

FieldReader answer_format(std::shared_ptr<const Grammar>& target, std::string_view body,
                          std::vector<std::string_view> path) {
  return reader(target, [body, path = std::move(path)](const Json& value) {
    return response_format(value, body, path);
  });
}

FieldReaders answer_format_fields(std::shared_ptr<const Grammar>& target, std::string_view body) {
  FieldReaders readers;
  readers["response_format"] = answer_format(target, body, {"response_format"});
  for (const std::string_view name : {"json_schema", "guided_json"}) {
    readers[name] =
        reader(target, [body, name](const Json& value) { return schema(value, body, {name}); });
  }
  for (const std::string_view name : {"grammar", "guided_grammar"})
    readers[name] = reader(target, gbnf);
  return readers;
}

}  // namespace longhaul
