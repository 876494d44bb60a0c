// One call of a tool, {"name": "look", "arguments": {...}}, read as its text comes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace longhaul {

// Knows that a text is a call as soon as it has a name and its arguments begin, and from then on
// gives the arguments byte by byte as they were written. `parameters` is another word for
// `arguments`; arguments within a text are taken out of it. What stands within arguments is not
// checked beyond its brackets and quotes.
class CallReader {
 public:
  enum class State : uint8_t { kReading, kDone, kBroken };

  // `accepts`: whether there is a tool of that name. A strict reader takes no further fields, and
  // wants arguments: for texts that may be JSON of any kind.
  CallReader(std::function<bool(std::string_view)> accepts, bool is_strict)
      : accepts_(std::move(accepts)), is_strict_(is_strict) {}

  // Takes what belongs to the call and returns how many bytes that were: not those behind its end,
  // nor the one that it cannot have and those behind it.
  size_t feed(std::string_view text);

  State state() const { return state_; }
  bool has_begun() const { return has_begun_; }  // it is a call, whatever follows
  const std::string& name() const { return name_; }
  // Arguments since the last time; only once it has begun.
  std::string take_arguments();

 private:
  enum class At : uint8_t { kOpening, kFirstKey, kKey, kColon, kValue, kInValue, kAfter, kNextKey };
  enum class Field : uint8_t { kName, kArguments, kOther };

  bool take(char byte, bool& is_taken);
  bool begin_value(char byte);
  bool in_value(char byte, bool& is_taken);
  // Whether the value or key, which began with a quote or bracket, is over with this byte.
  bool nest(char byte, bool& is_bad);
  bool end_key();
  bool end_value();
  bool end_call();
  void keep(char byte);
  void check_begun();

  const std::function<bool(std::string_view)> accepts_;
  const bool is_strict_;
  State state_ = State::kReading;
  At at_ = At::kOpening;
  Field field_ = Field::kOther;
  std::string held_;     // the key or value that is being read; arguments go to arguments_ instead
  std::string closers_;  // that brackets wait for, the outermost first
  bool is_scalar_ = false;  // the value has no quote or bracket that ends it
  bool is_in_text_ = false, is_escaped_ = false;
  bool has_begun_ = false, has_name_ = false, has_arguments_ = false;
  std::string name_, arguments_;
};

}  // namespace longhaul
