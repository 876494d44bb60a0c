// What a model's text says: the answer itself, the reasoning before it, calls of tools. Pure
// functions of the text: however it is cut into pieces, the deltas add up to the same message.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/call_format.h"
#include "server/call_reader.h"

namespace longhaul {

inline constexpr std::string_view kReasoningOpening = "<think>";
inline constexpr std::string_view kReasoningClosing = "</think>";

struct OutputOptions {
  const CallFormat* calls = nullptr;  // null: no calls
  std::vector<std::string> tools;     // their names
  bool one_call = false;              // what follows the first call is left out
  // Marks are control tokens, whose names nobody shows: also not where no call follows.
  bool hides_marks = false;
  bool has_reasoning = false;        // the text may begin with <think>
  bool begins_in_reasoning = false;  // the prompt ended with it
  std::string begins_with = {};      // what the prompt ended with and is read as a part of the text
};

// A piece of a message.
struct OutputDelta {
  enum class Kind : uint8_t { kContent, kReasoning, kCall, kArguments };
  Kind kind = Kind::kContent;
  std::string text;  // of kCall the tool's name
  size_t call = 0;   // the number of the call, from 0
  bool operator==(const OutputDelta&) const = default;
};

struct OutputMessage {
  struct Call {
    std::string name, arguments;  // these a JSON text, as the model wrote it
    bool operator==(const Call&) const = default;
  };
  std::string content, reasoning;
  std::vector<Call> calls;
  void add(const OutputDelta& delta);
  bool operator==(const OutputMessage&) const = default;
};

// Holds back what may be the beginning of a mark, white space before one, and a call until it is
// known for one. What turns out to be no call is content, as it was written; once a call has
// begun, whatever stands in its place until its end is its arguments, JSON or not. White space
// around reasoning and calls is left out.
class OutputParser {
 public:
  explicit OutputParser(OutputOptions options);

  // What the next piece of the text settles.
  std::vector<OutputDelta> feed(std::string_view text);
  // At the end of the text: what was held back.
  std::vector<OutputDelta> finish();

  bool has_calls() const { return n_calls_ > 0; }

 private:
  using Kind = OutputDelta::Kind;
  enum class State : uint8_t { kStart, kReasoning, kContent, kCall, kInCall, kBetween, kBroken };

  // Looks at pending_; false: it has to wait for more.
  bool step();
  bool read_start();
  bool read_reasoning();
  bool read_content();
  bool begin_call();
  bool read_call();
  bool read_between();
  bool read_broken();
  // Says what stands before the first of the marks, takes that away and returns it; nothing: none
  // is there yet. Empty marks are none.
  std::optional<std::string_view> say_until(Kind kind, std::array<std::string_view, 2> marks);
  // What was read as a call is none.
  void no_call();
  void skip_blanks(std::string* kept);
  // Says text, but for white space at its end.
  void say(Kind kind, std::string_view text);
  void emit(Kind kind, std::string_view text);

  const OutputOptions options_;
  State state_ = State::kStart;
  std::vector<OutputDelta> deltas_;  // of this feed()
  std::string pending_;              // not looked at yet, or not decided
  std::string blanks_;               // white space that was not said yet
  std::string call_;                 // the text of what may be a call
  std::optional<CallReader> reader_;
  bool trims_ = false;    // white space before the next text goes
  bool is_bare_ = false;  // the call has no opening
  bool may_be_bare_ = false;
  bool is_in_list_ = false;
  bool has_announced_ = false;  // the call that is being read
  size_t n_calls_ = 0;
};

// A whole text.
OutputMessage read_output(const OutputOptions& options, std::string_view text);

}  // namespace longhaul
