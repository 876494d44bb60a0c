#include "server/answer_format.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;
using Made = Result<std::shared_ptr<const Grammar>>;

bool is_nothing(const Json& value) {
  return value.is_string() && value.get_ref<const std::string&>().empty();
}

// A value of the body with members in the order they were sent in; as it is where there is no body.
class Sent {
 public:
  explicit Sent(std::string_view body) : body_(body) {}

  // `names`: the fields that lead to `value`.
  std::string text(const Json& value, std::initializer_list<std::string_view> names) const {
    const auto whole = nlohmann::ordered_json::parse(body_, nullptr, /*allow_exceptions=*/false);
    const nlohmann::ordered_json* at = &whole;
    for (const std::string_view name : names) {
      const auto found = at->is_object() ? at->find(name) : at->end();
      if (found == at->end()) return dumped(value);
      at = &*found;
    }
    return dumped(*at);
  }

 private:
  template <class AnyJson>
  static std::string dumped(const AnyJson& value) {
    return value.dump(-1, ' ', false, AnyJson::error_handler_t::replace);
  }
  std::string_view body_;
};

// A schema, or one written into a text.
Made schema(const Json& value, const Sent& sent, std::initializer_list<std::string_view> names) {
  if (value.is_string()) return grammar_of_schema(value.get_ref<const std::string&>());
  if (!value.is_object() && !value.is_boolean())
    return bad_input("expected a JSON schema, found {}", shown(value));
  return grammar_of_schema(sent.text(value, names));
}

// {"type": "text"}, {"type": "json_object"} with or without "schema", {"type": "json_schema"} with
// "json_schema": {"schema"} or "schema". Null: any text.
Made response_format(const Json& value, const Sent& sent) {
  if (!value.is_object() || !value.contains("type"))
    return bad_input("expected an object with a type, found {}", shown(value));
  const Json& type = value["type"];
  if (type == "text") return nullptr;
  if (type != "json_object" && type != "json_schema")
    return unsupported("this server can do text, json_object and json_schema, found {}",
                       shown(type));
  if (value.contains("schema")) return schema(value["schema"], sent, {"response_format", "schema"});
  if (type == "json_object") return grammar_of_json_object();
  const Json inner = value.value("json_schema", Json());
  if (!inner.is_object() || !inner.contains("schema"))
    return bad_input("json_schema: expected an object with a schema, found {}", shown(inner));
  return schema(inner["schema"], sent, {"response_format", "json_schema", "schema"});
}

Made gbnf(const Json& value) {
  if (!value.is_string()) return bad_input("expected a grammar as a text, found {}", shown(value));
  return parse_gbnf(value.get_ref<const std::string&>());
}

}  // namespace

FieldReaders answer_format_fields(std::shared_ptr<const Grammar>& target, std::string_view body) {
  const auto reader = [&target](auto make) -> FieldReader {
    return [&target, make](const Json& value) -> Status {
      if (is_nothing(value)) return {};
      LH_ASSIGN_OR_RETURN(auto made, make(value));
      if (made == nullptr) return {};
      if (target != nullptr)
        return bad_input("expected one field that says what the answer looks like, found another");
      target = std::move(made);
      return {};
    };
  };
  FieldReaders readers;
  readers["response_format"] =
      reader([body](const Json& value) { return response_format(value, Sent(body)); });
  for (const std::string_view name : {"json_schema", "guided_json"}) {
    readers[name] =
        reader([body, name](const Json& value) { return schema(value, Sent(body), {name}); });
  }
  for (const std::string_view name : {"grammar", "guided_grammar"}) readers[name] = reader(gbnf);
  return readers;
}

}  // namespace longhaul
