// Fields of JSON objects from people and programs: each has a reader, which says what it expected
// and found.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace longhaul {

// Stores a value; Error: "expected ..., found ...".
using FieldReader = std::function<Status(const nlohmann::json&)>;
using FieldReaders = std::map<std::string_view, FieldReader>;

// The field at fault, "stream_options.include_usage", and what is wrong with it.
struct FieldError {
  std::string field;
  Error error;
  // "field: expected ..., found ..."
  Error as_error() const;
};
struct [[nodiscard]] FieldStatus : tl::expected<void, FieldError> {
  using tl::expected<void, FieldError>::expected;
};

// The document. Error: no JSON, or values nested deeper than 64 levels, which readers that call
// themselves could not bear.
Result<nlohmann::json> parse_json(std::string_view text);
// The text of a member of an object, as it stands in a document that parse_json() has read; of
// several the last. Empty: there is none, or its name is spelled with escapes. JSON libraries sort
// members by name or search them one by one, which documents of strangers can make slow.
std::string_view sent_member(std::string_view document, std::string_view name);
// The same of the items of a list, in their order; none where the document is no list.
std::vector<std::string_view> sent_items(std::string_view document);
// A value as it is quoted in a message, at most 60 bytes.
std::string shown(const nlohmann::json& value);

// Reads the fields of an object that have a reader. null means absent. Error: no object, a value
// that its reader refuses or, unless they are to be ignored, a field without a reader.
enum class UnknownFields { kIgnored, kRefused };
FieldStatus read_fields(const nlohmann::json& object, const FieldReaders& readers,
                        UnknownFields unknown);
// The same for an object within a field.
FieldReader fields(FieldReaders readers, UnknownFields unknown);

FieldReader count(size_t& target, size_t least = 0,
                  size_t most = std::numeric_limits<uint32_t>::max());
FieldReader flag(bool& target);
FieldReader text(std::string& target);
// A text or a list of texts, none of them empty.
FieldReader texts(std::vector<std::string>& target);
// A list of token ids.
FieldReader token_ids(std::vector<int32_t>& target);
FieldReader real(double& target, double least, double most = std::numeric_limits<float>::max());
FieldReader real(float& target, double least, double most = std::numeric_limits<float>::max());
// Any whole number, a negative one too.
FieldReader seed(uint64_t& target);

// A name that `parse` (string_view to Result<T>) knows.
template <class T, class Parse>
FieldReader named(T& target, Parse parse) {
  return [&target, parse](const nlohmann::json& value) -> Status {
    if (!value.is_string()) return bad_input("expected a name, found {}", shown(value));
    LH_ASSIGN_OR_RETURN(target, parse(value.get_ref<const std::string&>()));
    return {};
  };
}

}  // namespace longhaul
