#include "tasks/answers.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

namespace longhaul {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char capital(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; }

std::vector<std::string> runs(std::string_view text, bool (*belongs)(char)) {
  std::vector<std::string> found;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && belongs(text[end])) ++end;
    if (end > i) found.emplace_back(text.substr(i, end - i));
    i = std::max(end, i + 1);
  }
  return found;
}

TaskScore score_of(size_t n_wanted, size_t n_found, bool clean) {
  TaskScore score;
  score.n_steps = static_cast<int>(n_wanted);
  score.n_right_steps = static_cast<int>(n_found);
  score.exact = n_found == n_wanted && clean;
  return score;
}

// The inside of the last \boxed{...}, braces counted; nothing if it does not close.
std::optional<std::string_view> boxed(std::string_view text) {
  constexpr std::string_view kOpen = "\\boxed{";
  const size_t start = text.rfind(kOpen);
  if (start == std::string_view::npos) return std::nullopt;
  const size_t first = start + kOpen.size();
  int depth = 1;
  for (size_t i = first; i < text.size(); ++i) {
    depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
    if (depth == 0) return text.substr(first, i - first);
  }
  return std::nullopt;
}

// "-1,234.50" at the end of the text's last digits.
std::optional<std::string_view> last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  if (end == 0) return std::nullopt;
  size_t first = end;
  while (first > 0) {
    const char c = text[first - 1];
    const bool inside = (c == '.' || c == ',') && first > 1 && is_digit(text[first - 2]);
    if (!is_digit(c) && !inside) break;
    --first;
  }
  const bool negative = first > 0 && text[first - 1] == '-' &&
                        (first == 1 || (!is_word(text[first - 2]) && text[first - 2] != ')'));
  return text.substr(negative ? first - 1 : first, end - first + (negative ? 1 : 0));
}

// 'B' of a text that is nothing but "b", perhaps in brackets or with a full stop.
std::optional<char> lone_small_letter(std::string_view text, char last) {
  std::string rest;
  for (const char c : bare(text)) {
    if (c != '(' && c != ')') rest += c;
  }
  if (rest.size() != 1 || capital(rest[0]) == rest[0] || capital(rest[0]) > last)
    return std::nullopt;
  return capital(rest[0]);
}

std::optional<double> as_number(std::string_view text) {
  std::string digits;
  for (const char c : bare(text)) {
    if (c != ',' && c != '$' && c != '%' && !is_space(c)) digits += c;
  }
  if (digits.empty() || digits.find_first_not_of("+-.0123456789eE") != std::string::npos) {
    return std::nullopt;
  }
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string> numbers_in(std::string_view text) { return runs(text, is_digit); }
std::vector<std::string> words_in(std::string_view text) { return runs(text, is_word); }

TaskScore score_numbers(const Task& task, std::string_view generated) {
  const auto numbers = numbers_in(generated);
  size_t n_right = 0;
  while (n_right < std::min(numbers.size(), task.wanted.size()) &&
         numbers[n_right] == task.wanted[n_right]) {
    ++n_right;
  }
  return score_of(task.wanted.size(), n_right, true);
}

TaskScore score_words(const Task& task, std::string_view generated,
                      bool (*is_candidate)(std::string_view word)) {
  const std::set<std::string> wanted(task.wanted.begin(), task.wanted.end());
  std::set<std::string> found;
  bool clean = true;
  for (const std::string& word : words_in(generated)) {
    if (wanted.count(word) > 0) {
      found.insert(word);
    } else if (is_candidate(word)) {
      clean = false;
    }
  }
  return score_of(wanted.size(), found.size(), clean);
}

std::string_view bare(std::string_view text) {
  const auto around = [](char c) { return is_space(c) || c == '"' || c == '\'' || c == '`'; };
  while (!text.empty() && around(text.front())) text.remove_prefix(1);
  while (!text.empty() && (around(text.back()) || text.back() == '.')) text.remove_suffix(1);
  return text;
}

bool same_text(std::string_view a, std::string_view b) {
  a = bare(a);
  b = bare(b);
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return capital(x) == capital(y); });
}

std::optional<std::string> final_result(std::string_view text) {
  if (const auto inside = boxed(text)) return std::string(bare(*inside));
  if (const size_t mark = text.rfind("####"); mark != std::string_view::npos) {
    const std::string_view rest = text.substr(mark + 4);
    return std::string(bare(rest.substr(0, rest.find('\n'))));
  }
  if (const auto number = last_number(text)) return std::string(bare(*number));
  return std::nullopt;
}

bool same_result(std::string_view a, std::string_view b) {
  const auto x = as_number(a);
  const auto y = as_number(b);
  if (x && y) return std::abs(*x - *y) <= 1e-9 * std::max(std::abs(*x), std::abs(*y));
  return same_text(a, b);
}

std::optional<char> chosen_letter(std::string_view text, size_t n_choices) {
  const char last = static_cast<char>('A' + static_cast<int>(n_choices) - 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c < 'A' || c > last) continue;
    if (i > 0 && is_word(text[i - 1])) continue;
    if (i + 1 < text.size() && (is_word(text[i + 1]) || text[i + 1] == '\'')) continue;
    // "A man": an article, not an answer.
    const bool word_follows =
        i + 2 < text.size() && text[i + 1] == ' ' && text[i + 2] >= 'a' && text[i + 2] <= 'z';
    if (c == 'A' && word_follows) continue;
    return c;
  }
  return lone_small_letter(text, last);
}

}  // namespace longhaul
