#include "server/call_reader.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace longhaul {
namespace {

constexpr size_t kDeepest = 64;

bool is_blank(char byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

// What a JSON text in quotes says.
std::optional<std::string> unquoted(const std::string& quoted) {
  const auto json = nlohmann::json::parse(quoted, nullptr, /*allow_exceptions=*/false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

}  // namespace

size_t CallReader::feed(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && state_ == State::kReading) {
    bool is_taken = true;
    if (!take(text[at], is_taken)) {
      state_ = State::kBroken;
      return at;
    }
    at += is_taken ? 1 : 0;
  }
  return at;
}

std::string CallReader::take_arguments() { return std::exchange(arguments_, {}); }

// False: a call has no such byte there. `is_taken`: false where it is to be looked at again.
bool CallReader::take(char byte, bool& is_taken) {
  if (at_ == At::kInValue) return in_value(byte, is_taken);
  if (at_ == At::kKey) {
    bool is_bad = false;
    held_ += byte;
    return nest(byte, is_bad) ? end_key() : !is_bad;
  }
  if (is_blank(byte) && at_ != At::kOpening) return true;
  switch (at_) {
    case At::kOpening:
      at_ = At::kFirstKey;
      return byte == '{';
    case At::kFirstKey:
      if (byte == '}') return end_call();
      [[fallthrough]];
    case At::kNextKey:
      at_ = At::kKey;
      is_in_text_ = true;
      held_ = byte;
      return byte == '"';
    case At::kColon:
      at_ = At::kValue;
      return byte == ':';
    case At::kValue:
      return begin_value(byte);
    default:
      if (byte == '}') return end_call();
      at_ = At::kNextKey;
      return byte == ',';
  }
}

bool CallReader::begin_value(char byte) {
  if (byte == ',' || byte == '}' || byte == ']' || byte == ':') return false;
  if (field_ == Field::kName && byte != '"') return false;
  if (field_ == Field::kArguments && byte != '{' && byte != '"' && byte != 'n') return false;
  at_ = At::kInValue;
  held_.clear();
  is_in_text_ = byte == '"';
  is_scalar_ = byte != '"' && byte != '{' && byte != '[';
  if (byte == '{') closers_ = '}';
  if (byte == '[') closers_ = ']';
  if (field_ == Field::kArguments && byte == '{') {
    has_arguments_ = true;
    check_begun();
  }
  keep(byte);
  return true;
}

bool CallReader::in_value(char byte, bool& is_taken) {
  if (is_scalar_) {
    if (byte == '"' || byte == '{' || byte == '[' || byte == ':' || byte == ']') return false;
    if (byte != ',' && byte != '}' && !is_blank(byte)) return keep(byte), true;
    is_taken = false;
    return end_value();
  }
  bool is_bad = false;
  const bool is_over = nest(byte, is_bad);
  if (is_bad) return false;
  keep(byte);
  return !is_over || end_value();
}

bool CallReader::nest(char byte, bool& is_bad) {
  if (is_escaped_) {
    is_escaped_ = false;
    return false;
  }
  if (is_in_text_) {
    is_escaped_ = byte == '\\';
    if (byte == '"') is_in_text_ = false;
    return byte == '"' && closers_.empty();
  }
  if (byte == '"') is_in_text_ = true;
  if (byte == '{') closers_ += '}';
  if (byte == '[') closers_ += ']';
  if (byte == '}' || byte == ']') {
    is_bad = closers_.back() != byte;
    closers_.pop_back();
  }
  is_bad |= closers_.size() > kDeepest;
  return !is_bad && closers_.empty();
}

bool CallReader::end_key() {
  const auto key = unquoted(held_);
  if (!key) return false;
  at_ = At::kColon;
  field_ = Field::kOther;
  if (*key == "name") {
    field_ = Field::kName;
    return !has_name_;
  }
  if (*key == "arguments" || *key == "parameters") {
    field_ = Field::kArguments;
    return !has_arguments_;
  }
  return !is_strict_ || *key == "type" || *key == "id";
}

bool CallReader::end_value() {
  at_ = At::kAfter;
  if (field_ == Field::kName) {
    const auto name = unquoted(held_);
    if (!name || name->empty() || !accepts_(*name)) return false;
    name_ = *name;
    has_name_ = true;
  }
  if (field_ == Field::kArguments && !has_arguments_) {
    if (is_scalar_ && held_ != "null") return false;
    const auto text = is_scalar_ ? std::string("{}") : unquoted(held_);
    if (!text) return false;
    arguments_ = *text;
    has_arguments_ = true;
  }
  check_begun();
  return true;
}

bool CallReader::end_call() {
  if (!has_name_ || (is_strict_ && !has_arguments_)) return false;
  if (!has_arguments_) arguments_ = "{}";
  has_begun_ = true;
  state_ = State::kDone;
  return true;
}

void CallReader::keep(char byte) {
  const bool streams = field_ == Field::kArguments && has_arguments_;
  (streams ? arguments_ : held_) += byte;
}

void CallReader::check_begun() { has_begun_ = has_name_ && has_arguments_; }

}  // namespace longhaul
