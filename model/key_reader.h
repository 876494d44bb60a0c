// Reads the keys `<architecture>.*` of a GGUF file and remembers which were read: a key that nobody
// read may change the arithmetic, so it is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"

namespace longhaul {

// What a number of a file may be; infinite and not-a-number never.
struct Bounds {
  double least = 0, most = 0;
  bool may_be_least = false;  // else it lies above

  bool contains(double value) const {
    return value <= most && (may_be_least ? value >= least : value > least);
  }
};
// Of factors and bases that any arithmetic stands.
inline constexpr Bounds kPositive = {.least = 0, .most = 1e6};

// Suffixes are what follows "<architecture>.".
class KeyReader {
 public:
  KeyReader(const GgufFile& file, std::string_view architecture);

  const std::string& path() const { return file_.path(); }
  std::string key(std::string_view suffix) const;
  // The value, or nullptr; does not count as reading.
  const GgufValue* find(std::string_view suffix) const { return file_.find(key(suffix)); }
  bool has(std::string_view suffix) const { return find(suffix) != nullptr; }
  bool has_tensor(std::string_view name) const { return file_.find_tensor(name) != nullptr; }

  // A size that must lie in [1, max]: files with 2^60 layers must not reach an allocation.
  Result<size_t> size(std::string_view suffix, size_t max);
  Result<size_t> size_or(std::string_view suffix, size_t max, size_t fallback);
  // The same in [0, max].
  Result<size_t> count_or(std::string_view suffix, size_t max, size_t fallback);
  Result<double> f64(std::string_view suffix, const Bounds& bounds);
  Result<double> f64_or(std::string_view suffix, const Bounds& bounds, double fallback);
  Result<bool> bool_or(std::string_view suffix, bool fallback);
  // n_expected finite numbers.
  Result<std::vector<float>> f32_array(std::string_view suffix, size_t n_expected);
  Result<std::string_view> string_or(std::string_view suffix, std::string_view fallback);
  // Counts as read.
  void skip(std::string_view suffix) { read_.emplace(suffix); }

  // An Error that names the first key that nobody read and that is not known to change nothing
  // (key_reader.cc has the list).
  Status refuse_unread() const;

 private:
  std::string read(std::string_view suffix);

  const GgufFile& file_;
  std::string prefix_;                       // "<architecture>."
  std::set<std::string, std::less<>> read_;  // suffixes
};

}  // namespace longhaul
