#include "apps/parse.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace longhaul {
namespace {

// The whole of `text` as a number of type T, or false.
template <class T>
bool read_all(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// log2 of the unit a suffix stands for, or -1.
int unit_bits(char suffix) {
  switch (suffix) {
    case 'k':
    case 'K':
      return 10;
    case 'm':
    case 'M':
      return 20;
    case 'g':
    case 'G':
      return 30;
    default:
      return -1;
  }
}

}  // namespace

Result<size_t> parse_size(std::string_view text) {
  std::string_view digits = text;
  int bits = text.empty() ? -1 : unit_bits(text.back());
  if (bits >= 0) digits.remove_suffix(1);
  bits = bits < 0 ? 0 : bits;
  size_t value = 0;
  if (!read_all(digits, value) || value > (std::numeric_limits<size_t>::max() >> bits)) {
    return bad_input("expected a whole number such as 4096, 4K or 1M, found '{}'", text);
  }
  return value << bits;
}

Result<double> parse_real(std::string_view text) {
  double value = 0;
  if (!read_all(text, value) || !std::isfinite(value)) {
    return bad_input("expected a number, found '{}'", text);
  }
  return value;
}

Result<std::vector<int32_t>> parse_ids(std::string_view text) {
  constexpr std::string_view kSeparators = ", \t\r\n";
  std::vector<int32_t> ids;
  for (size_t pos = text.find_first_not_of(kSeparators); pos != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSeparators, pos), text.size());
    const std::string_view word = text.substr(pos, end - pos);
    int32_t id = 0;
    if (!read_all(word, id) || id < 0) {
      return bad_input("expected token ids such as 1,15043,2787, found '{}'", word);
    }
    ids.push_back(id);
    pos = text.find_first_not_of(kSeparators, end);
  }
  return ids;
}

Result<std::pair<int32_t, float>> parse_bias(std::string_view text) {
  const size_t equals = text.find('=');
  int32_t id = 0;
  float bias = 0;
  if (equals == std::string_view::npos || !read_all(text.substr(0, equals), id) || id < 0 ||
      !read_all(text.substr(equals + 1), bias) || std::isnan(bias)) {
    return bad_input("expected ID=BIAS such as 13=-2.5 or 13=-inf, found '{}'", text);
  }
  return std::pair(id, bias);
}

Result<std::vector<std::string_view>> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) return bad_input("expected a list such as a,b,c, found '{}'", text);
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace longhaul
