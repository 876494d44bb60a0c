// The JSON of a checkpoint: documents read whole, and fields with a type, whose errors name the file,
// the key, what was expected and what was found.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace longhaul {

using Json = nlohmann::json;

// One document; `name` stands for it in messages. Errors: text that is no JSON, the same key twice
// in one object, more than 64 levels.
Result<Json> parse_document(std::string_view text, const std::string& name);
// The document in a file. Errors: those of parse_document, and kIo if it cannot be read.
Result<Json> read_document(const std::string& path);

// A value as messages show it: JSON, cut after some 60 bytes.
std::string snippet(const Json& value);

// The fields of one object. A field that is null counts as missing, as in the library that writes
// these files. Refers to the document, which must outlive it.
class JsonFields {
 public:
  // Error: `object` is no object. `within` stands before the keys in messages: "rope_scaling.".
  static Result<JsonFields> of(const Json& object, std::string file, std::string within = "");

  const std::string& file() const { return file_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // nullptr if it is missing.
  const Json* find(std::string_view key) const;

  // A whole number from 1 to `max`.
  Result<size_t> size(std::string_view key, size_t max) const;
  Result<size_t> size_or(std::string_view key, size_t max, size_t fallback) const;
  // A finite number.
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  Result<JsonFields> object(std::string_view key) const;

  // "FILE: key 'KEY': expected EXPECTED, found what is there".
  tl::unexpected<Error> wrong(std::string_view key, std::string_view expected) const;

 private:
  JsonFields(const Json& object, std::string file, std::string within)
      : object_(&object), file_(std::move(file)), within_(std::move(within)) {}

  const Json* object_;
  std::string file_;
  std::string within_;
};

}  // namespace longhaul
