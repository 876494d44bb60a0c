#include "server/output_parser.h"

#include <algorithm>
#include <utility>

namespace longhaul {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// How much of the end of `text` may be the beginning of `mark`.
size_t n_undecided(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return n;
  }
  return 0;
}

// The text is a beginning of the mark, and more of it may come.
bool may_become(std::string_view text, std::string_view mark) {
  return text.size() < mark.size() && mark.starts_with(text);
}

}  // namespace

void OutputMessage::add(const OutputDelta& delta) {
  switch (delta.kind) {
    case OutputDelta::Kind::kContent:
      content += delta.text;
      break;
    case OutputDelta::Kind::kReasoning:
      reasoning += delta.text;
      break;
    case OutputDelta::Kind::kCall:
      calls.push_back({delta.text, {}});
      break;
    case OutputDelta::Kind::kArguments:
      calls[delta.call].arguments += delta.text;
      break;
  }
}

OutputParser::OutputParser(OutputOptions options) : options_(std::move(options)) {}

std::vector<OutputDelta> OutputParser::feed(std::string_view text) {
  if (options_.calls == nullptr && !options_.has_reasoning) {
    emit(Kind::kContent, text);
  } else {
    pending_ += text;
    while (step()) {
    }
  }
  return std::exchange(deltas_, {});
}

std::vector<OutputDelta> OutputParser::finish() {
  const std::string rest = std::exchange(pending_, {});
  switch (state_) {
    case State::kStart:
      if (options_.begins_in_reasoning) blanks_.clear();
      say(options_.begins_in_reasoning ? Kind::kReasoning : Kind::kContent, rest);
      break;
    case State::kReasoning:
      say(Kind::kReasoning, rest);
      blanks_.clear();
      break;
    case State::kContent:
      say(Kind::kContent, rest);
      break;
    case State::kCall:
    case State::kInCall:
      call_ += rest;
      no_call();
      break;
    case State::kBroken:
      emit(Kind::kArguments, rest);
      break;
    case State::kBetween:
      break;  // the beginning of a closing mark
  }
  if (state_ == State::kContent || (state_ == State::kStart && !options_.begins_in_reasoning))
    emit(Kind::kContent, std::exchange(blanks_, {}));
  return std::exchange(deltas_, {});
}

bool OutputParser::step() {
  if (pending_.empty()) return false;
  switch (state_) {
    case State::kStart:
      return read_start();
    case State::kReasoning:
      return read_reasoning();
    case State::kContent:
      return read_content();
    case State::kCall:
      return begin_call();
    case State::kInCall:
      return read_call();
    case State::kBetween:
      return read_between();
    case State::kBroken:
      return read_broken();
  }
  return false;
}

bool OutputParser::read_start() {
  skip_blanks(&blanks_);
  if (pending_.empty()) return false;
  const bool has_mark = options_.has_reasoning && pending_.starts_with(kReasoningOpening);
  if (options_.has_reasoning && may_become(pending_, kReasoningOpening)) return false;
  if (has_mark) pending_.erase(0, kReasoningOpening.size());
  const bool reasons = has_mark || options_.begins_in_reasoning;
  state_ = reasons ? State::kReasoning : State::kContent;
  if (reasons) {
    blanks_.clear();
    trims_ = true;
  }
  may_be_bare_ = options_.calls != nullptr && options_.calls->may_be_bare;
  return true;
}

bool OutputParser::read_reasoning() {
  if (!say_until(Kind::kReasoning, {kReasoningClosing, {}})) return false;
  blanks_.clear();
  trims_ = true;
  state_ = State::kContent;
  return true;
}

bool OutputParser::read_content() {
  if (options_.calls == nullptr) {
    say(Kind::kContent, std::exchange(pending_, {}));
    return false;
  }
  if (may_be_bare_) {
    skip_blanks(trims_ ? nullptr : &blanks_);
    if (pending_.empty()) return false;
    // The opening may stand there, or anything else; a bracket makes it a call.
    if (pending_.front() == '{') {
      call_.clear();
      is_bare_ = true;
      state_ = State::kCall;
      return true;
    }
    if (may_become(pending_, options_.calls->opening)) return false;
    may_be_bare_ = false;
  }
  const auto [opening, closing] = std::pair(options_.calls->opening, options_.calls->closing);
  const auto mark =
      say_until(Kind::kContent, {opening, options_.hides_marks ? closing : std::string_view()});
  if (!mark) return false;
  if (*mark != opening) return true;  // one that closes nothing
  call_ = options_.hides_marks ? std::string_view() : opening;
  is_bare_ = false;
  state_ = State::kCall;
  return true;
}

bool OutputParser::begin_call() {
  skip_blanks(&call_);
  if (pending_.empty()) return false;
  if (pending_.front() == '[' && options_.calls->has_list && !is_in_list_) {
    is_in_list_ = true;
    call_ += '[';
    pending_.erase(0, 1);
    return true;
  }
  if (pending_.front() != '{') {
    no_call();
    return true;
  }
  const auto accepts = [this](std::string_view name) {
    const auto& tools = options_.tools;
    return !is_bare_ || std::find(tools.begin(), tools.end(), name) != tools.end();
  };
  reader_.emplace(accepts, is_bare_);
  has_announced_ = false;
  state_ = State::kInCall;
  return true;
}

bool OutputParser::read_call() {
  const size_t n_read = reader_->feed(pending_);
  if (reader_->has_begun() && !std::exchange(has_announced_, true)) {
    ++n_calls_;
    blanks_.clear();
    call_.clear();
    emit(Kind::kCall, reader_->name());
  }
  if (has_announced_) {
    emit(Kind::kArguments, reader_->take_arguments());
  } else {
    call_.append(pending_, 0, n_read);
  }
  pending_.erase(0, n_read);
  if (reader_->state() == CallReader::State::kReading) return false;
  if (reader_->state() == CallReader::State::kDone) {
    state_ = State::kBetween;
  } else if (has_announced_) {
    state_ = State::kBroken;
  } else {
    no_call();
  }
  return true;
}

bool OutputParser::read_between() {
  skip_blanks(nullptr);
  if (pending_.empty()) return false;
  const CallFormat& format = *options_.calls;
  const char next = pending_.front();
  const bool has_separator = (is_in_list_ && next == ',') || (format.may_be_bare && next == ';');
  if (has_separator || (format.may_be_bare && next == '{')) {
    call_.clear();
    if (has_separator) {
      call_ = next;
      pending_.erase(0, 1);
    }
    state_ = State::kCall;
    return true;
  }
  if (is_in_list_ && next == ']') {
    is_in_list_ = false;
    pending_.erase(0, 1);
    return true;
  }
  if (may_become(pending_, format.closing)) return false;
  if (!format.closing.empty() && pending_.starts_with(format.closing))
    pending_.erase(0, format.closing.size());
  is_in_list_ = false;
  trims_ = true;
  state_ = State::kContent;
  may_be_bare_ = false;
  return true;
}

bool OutputParser::read_broken() {
  const std::string_view closing = options_.calls->closing;
  const size_t found = closing.empty() ? std::string::npos : pending_.find(closing);
  const size_t n_kept = closing.empty() ? 0 : n_undecided(pending_, closing);
  const size_t n_said = found == std::string::npos ? pending_.size() - n_kept : found;
  emit(Kind::kArguments, std::string_view(pending_).substr(0, n_said));
  pending_.erase(0, n_said);
  if (found == std::string::npos) return false;
  state_ = State::kBetween;
  return true;
}

std::optional<std::string_view> OutputParser::say_until(Kind kind,
                                                        std::array<std::string_view, 2> marks) {
  std::string_view first;
  size_t found = std::string::npos, n_kept = 0;
  for (const std::string_view mark : marks) {
    if (mark.empty()) continue;
    n_kept = std::max(n_kept, n_undecided(pending_, mark));
    const size_t at = pending_.find(mark);
    if (at >= found) continue;
    found = at;
    first = mark;
  }
  const bool is_there = found != std::string::npos;
  const size_t n_said = is_there ? found : pending_.size() - n_kept;
  say(kind, std::string_view(pending_).substr(0, n_said));
  pending_.erase(0, n_said + first.size());
  if (!is_there) return std::nullopt;
  return first;
}

void OutputParser::no_call() {
  is_in_list_ = false;
  may_be_bare_ = false;
  state_ = State::kContent;
  say(Kind::kContent, std::exchange(call_, {}));
}

void OutputParser::skip_blanks(std::string* kept) {
  const size_t n = std::min(pending_.find_first_not_of(kBlanks), pending_.size());
  if (kept != nullptr) kept->append(pending_, 0, n);
  pending_.erase(0, n);
}

void OutputParser::say(Kind kind, std::string_view text) {
  const size_t begin = trims_ ? text.find_first_not_of(kBlanks) : 0;
  if (begin >= text.size()) return;
  text.remove_prefix(begin);
  trims_ = false;
  const size_t end = text.find_last_not_of(kBlanks) + 1;  // 0: white space alone
  if (end > 0) {
    emit(kind, std::exchange(blanks_, {}));
    emit(kind, text.substr(0, end));
  }
  blanks_ += text.substr(end);
}

void OutputParser::emit(Kind kind, std::string_view text) {
  const bool is_of_call = kind == Kind::kCall || kind == Kind::kArguments;
  if (text.empty() || (is_of_call && options_.one_call && n_calls_ > 1)) return;
  const size_t call = is_of_call ? n_calls_ - 1 : 0;
  const bool goes_on = !deltas_.empty() && deltas_.back().kind == kind && kind != Kind::kCall;
  if (goes_on && deltas_.back().call == call) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, std::string(text), call});
  }
}

OutputMessage read_output(const OutputOptions& options, std::string_view text) {
  OutputMessage message;
  OutputParser parser(options);
  for (const OutputDelta& delta : parser.feed(text)) message.add(delta);
  for (const OutputDelta& delta : parser.finish()) message.add(delta);
  return message;
}

}  // namespace longhaul
