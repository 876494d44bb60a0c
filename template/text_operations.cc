#include "template/text_operations.h"

#include <algorithm>

#include "template/characters.h"
#include "template/writer.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool has_character(std::string_view chars, std::string_view one) {
  for (size_t at = 0; at < chars.size(); at += character_bytes(chars, at)) {
    if (chars.substr(at, character_bytes(chars, at)) == one) return true;
  }
  return false;
}

// Begins of the characters.
std::vector<size_t> offsets_of(std::string_view bytes) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < bytes.size(); at += character_bytes(bytes, at)) offsets.push_back(at);
  return offsets;
}

// The last place of `part` that ends at or before `end`.
size_t find_before(std::string_view bytes, std::string_view part, size_t end) {
  return part.size() > end ? kNone : bytes.rfind(part, end - part.size());
}

class Pieces {
 public:
  Pieces(Budget& budget, const Text& text) : budget_(budget), text_(text) {}
  Status add(size_t begin, size_t end) {
    LH_RETURN_IF_ERROR(budget_.memory(sizeof(Value) + sizeof(Text)));
    LH_ASSIGN_OR_RETURN(Value value, part(budget_, text_, begin, end));
    pieces_.push_back(std::move(value));
    return {};
  }
  size_t size() const { return pieces_.size(); }
  Result<Value> take(bool is_reversed = false) {
    if (is_reversed) std::reverse(pieces_.begin(), pieces_.end());
    return Value::list(std::move(pieces_));
  }

 private:
  Budget& budget_;
  const Text& text_;
  std::vector<Value> pieces_;
};

bool may_cut(const Pieces& pieces, int64_t most) {
  return most < 0 || pieces.size() < static_cast<size_t>(most);
}

Result<Value> split_space(Budget& budget, const Text& text, int64_t most) {
  const std::string_view bytes = text.bytes();
  Pieces pieces(budget, text);
  for (size_t at = space_end(bytes); at < bytes.size(); at = space_end(bytes, at)) {
    size_t end = at;
    if (may_cut(pieces, most)) {
      while (end < bytes.size() && !is_space(code_point(bytes, end)))
        end += character_bytes(bytes, end);
    } else {
      end = bytes.size();
    }
    LH_RETURN_IF_ERROR(pieces.add(at, end));
    at = end;
  }
  return pieces.take();
}

Result<Value> split_space_right(Budget& budget, const Text& text, int64_t most) {
  std::string_view rest = text.bytes();
  Pieces pieces(budget, text);
  for (rest = rest.substr(0, space_begin(rest)); !rest.empty();
       rest = rest.substr(0, space_begin(rest))) {
    size_t begin = rest.size();
    if (may_cut(pieces, most)) {
      while (begin > 0 && space_begin(rest.substr(0, begin)) == begin) --begin;
    } else {
      begin = 0;  // what is left keeps the white space before it
    }
    LH_RETURN_IF_ERROR(pieces.add(begin, rest.size()));
    rest = rest.substr(0, begin);
  }
  return pieces.take(true);
}

}  // namespace

Result<Value> part(Budget& budget, const Text& text, size_t begin, size_t end) {
  Writer out(budget);
  LH_RETURN_IF_ERROR(out.text(text, begin, end));
  return Value::text(out.take());
}

Result<Value> strip(Budget& budget, const Text& text, const Text* chars, Side side) {
  const std::string_view bytes = text.bytes();
  LH_RETURN_IF_ERROR(budget.scan(bytes.size()));
  size_t begin = 0;
  size_t end = bytes.size();
  if (chars == nullptr) {
    if (side != Side::kRight) begin = space_end(bytes);
    if (side != Side::kLeft) end = std::max(begin, space_begin(bytes));
    return part(budget, text, begin, end);
  }
  LH_RETURN_IF_ERROR(budget.step(chars->size()));
  const std::vector<size_t> offsets = offsets_of(bytes);
  LH_RETURN_IF_ERROR(budget.memory(offsets.size() * sizeof(size_t)));
  size_t first = 0;
  size_t last = offsets.size();
  const auto goes = [&](size_t i) -> Result<bool> {
    LH_RETURN_IF_ERROR(budget.scan(chars->size()));
    const size_t next = i + 1 < offsets.size() ? offsets[i + 1] : bytes.size();
    return has_character(chars->bytes(), bytes.substr(offsets[i], next - offsets[i]));
  };
  for (; side != Side::kRight && first < last; ++first) {
    LH_ASSIGN_OR_RETURN(const bool is_one, goes(first));
    if (!is_one) break;
  }
  for (; side != Side::kLeft && last > first; --last) {
    LH_ASSIGN_OR_RETURN(const bool is_one, goes(last - 1));
    if (!is_one) break;
  }
  begin = first < offsets.size() ? offsets[first] : bytes.size();
  end = last < offsets.size() ? offsets[last] : bytes.size();
  return part(budget, text, begin, end);
}

Result<Value> replace(Budget& budget, const Text& text, const Text& from, const Text& to,
                      int64_t most) {
  const std::string_view bytes = text.bytes();
  LH_RETURN_IF_ERROR(budget.scan(bytes.size()));
  Writer out(budget);
  size_t done = 0;
  for (size_t at = 0; most != 0 && at <= bytes.size(); --most) {
    const size_t found = find_in(bytes, from.bytes(), at);
    if (found == kNone) break;
    LH_RETURN_IF_ERROR(budget.step());
    LH_RETURN_IF_ERROR(out.text(text, done, found));
    LH_RETURN_IF_ERROR(out.text(to));
    done = found + from.size();
    // What is empty stands before every character and at the end.
    at = from.empty() ? found + (found < bytes.size() ? character_bytes(bytes, found) : 1) : done;
  }
  LH_RETURN_IF_ERROR(out.text(text, done, bytes.size()));
  return Value::text(out.take());
}

Result<Value> split(Budget& budget, const Text& text, const Text* separator, int64_t most,
                    bool from_right) {
  const std::string_view bytes = text.bytes();
  LH_RETURN_IF_ERROR(budget.scan(bytes.size()));
  if (separator == nullptr)
    return from_right ? split_space_right(budget, text, most) : split_space(budget, text, most);
  if (separator->empty()) return bad_input("split: expected a separator, found an empty one");
  const std::string_view cut = separator->bytes();
  Pieces pieces(budget, text);
  size_t begin = 0;
  size_t end = bytes.size();
  while (may_cut(pieces, most)) {
    const size_t found = from_right ? find_before(bytes, cut, end) : find_in(bytes, cut, begin);
    if (found == kNone) break;
    LH_RETURN_IF_ERROR(from_right ? pieces.add(found + cut.size(), end) : pieces.add(begin, found));
    (from_right ? end : begin) = from_right ? found : found + cut.size();
  }
  LH_RETURN_IF_ERROR(pieces.add(begin, end));
  return pieces.take(from_right);
}

Result<Value> split_lines(Budget& budget, const Text& text, bool keeps_ends) {
  const std::string_view bytes = text.bytes();
  LH_RETURN_IF_ERROR(budget.scan(bytes.size()));
  Pieces pieces(budget, text);
  for (size_t begin = 0; begin < bytes.size();) {
    size_t end = begin;
    size_t next = bytes.size();
    for (; end < bytes.size(); end += character_bytes(bytes, end)) {
      const uint32_t code = code_point(bytes, end);
      const bool is_end = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) ||
                          code == 0x85 || code == 0x2028 || code == 0x2029;
      if (!is_end) continue;
      next = end + (bytes.substr(end, 2) == "\r\n" ? 2 : character_bytes(bytes, end));
      break;
    }
    LH_RETURN_IF_ERROR(pieces.add(begin, keeps_ends ? next : std::min(end, bytes.size())));
    begin = next;
  }
  return pieces.take();
}

}  // namespace longhaul::jinja
