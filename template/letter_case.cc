#include <algorithm>
#include <span>

#include "template/characters.h"
#include "template/text_operations.h"
#include "template/writer.h"

namespace longhaul::jinja {
namespace {

// Characters `step` apart that all move by `distance`.
struct CaseRun {
  uint32_t first, last, step;
  int32_t distance;
};

// A character that becomes several.
struct CaseWord {
  uint32_t code;
  std::string_view text;
};

#include "template/case_tables.inc"

constexpr uint32_t kCapitalSigma = 0x3A3;  // small it is one letter within words, another at ends

std::string mapped(uint32_t code, std::string_view bytes, std::span<const CaseRun> runs,
                   std::span<const CaseWord> words) {
  const auto run = std::lower_bound(runs.begin(), runs.end(), code,
                                    [](const CaseRun& r, uint32_t c) { return r.last < c; });
  if (run != runs.end() && code >= run->first && (code - run->first) % run->step == 0)
    return encode_character(static_cast<uint32_t>(static_cast<int32_t>(code) + run->distance));
  const auto word = std::lower_bound(words.begin(), words.end(), code,
                                     [](const CaseWord& w, uint32_t c) { return w.code < c; });
  if (word != words.end() && word->code == code) return std::string(word->text);
  return std::string(bytes);
}

bool is_ascii_letter(uint32_t code) {
  return (code | 32) >= 'a' && (code | 32) <= 'z' && code < 0x80;
}

class CaseWriter {
 public:
  CaseWriter(Budget& budget, const Text& text) : text_(text), out_(budget) {}

  // The character at `at` in a case.
  Status add(size_t at, LetterCase letter_case) {
    const size_t n_bytes = character_bytes(text_.bytes(), at);
    const uint32_t code = code_point(text_.bytes(), at);
    if (code < 0x80) {
      const bool is_lower = letter_case == LetterCase::kLower;
      const auto letter = static_cast<char>(is_lower ? code | 32 : code & ~uint32_t{32});
      if (is_ascii_letter(code)) return out_.as(text_, at, {&letter, 1});
      return out_.text(text_, at, at + 1);
    }
    if (code == kCapitalSigma && letter_case == LetterCase::kLower)
      return make_error(ErrorCode::kUnsupported,
                        "small letters of a capital sigma are not supported");
    const std::string_view bytes = text_.bytes().substr(at, n_bytes);
    return out_.as(text_, at,
                   letter_case == LetterCase::kLower
                       ? mapped(code, bytes, kLowerRuns, kLowerWords)
                       : mapped(code, bytes, kUpperRuns, kUpperWords));
  }

  Status add_title(size_t at) {
    const uint32_t code = code_point(text_.bytes(), at);
    if (std::binary_search(std::begin(kTitleCodes), std::end(kTitleCodes), code))
      return make_error(ErrorCode::kUnsupported, "the title case of U+{:04X} is not supported",
                        code);
    return add(at, LetterCase::kUpper);
  }

  Value take() { return Value::text(out_.take()); }

 private:
  const Text& text_;
  Writer out_;
};

// Letters with a case: those of ASCII, and those that change in one.
bool is_cased(const Text& text, size_t at) {
  const uint32_t code = code_point(text.bytes(), at);
  if (code < 0x80) return is_ascii_letter(code);
  const std::string_view bytes = text.bytes().substr(at, character_bytes(text.bytes(), at));
  return mapped(code, bytes, kLowerRuns, kLowerWords) != bytes ||
         mapped(code, bytes, kUpperRuns, kUpperWords) != bytes;
}

}  // namespace

Result<Value> change_case(Budget& budget, const Text& text, LetterCase letter_case) {
  CaseWriter out(budget, text);
  for (size_t at = 0; at < text.size(); at += character_bytes(text.bytes(), at))
    LH_RETURN_IF_ERROR(out.add(at, letter_case));
  return out.take();
}

Result<Value> capitalize(Budget& budget, const Text& text, bool every_word) {
  CaseWriter out(budget, text);
  bool begins = true;
  for (size_t at = 0; at < text.size(); at += character_bytes(text.bytes(), at)) {
    LH_RETURN_IF_ERROR(begins ? out.add_title(at) : out.add(at, LetterCase::kLower));
    begins = every_word && !is_cased(text, at);
  }
  return out.take();
}

Result<Value> title_words(Budget& budget, const Text& text) {
  CaseWriter out(budget, text);
  bool begins = true;
  for (size_t at = 0; at < text.size(); at += character_bytes(text.bytes(), at)) {
    LH_RETURN_IF_ERROR(out.add(at, begins ? LetterCase::kUpper : LetterCase::kLower));
    const uint32_t code = code_point(text.bytes(), at);
    begins = is_space(code) ||
             (code < 0x80 &&
              std::string_view("-([{<").find(static_cast<char>(code)) != std::string_view::npos);
  }
  return out.take();
}

}  // namespace longhaul::jinja
