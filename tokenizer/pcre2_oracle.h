// The regular expressions behind the scanners, run by PCRE2. For tests only.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcre2.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul {

class Pcre2Oracle {
 public:
  explicit Pcre2Oracle(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &offset,
                              nullptr));
    EXPECT_NE(code_, nullptr) << "error " << error << " at " << offset << " of " << pattern;
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  }

  // [begin, end) of the first match at or after `from`; {npos, npos} if there is none.
  std::pair<size_t, size_t> find(std::string_view text, size_t from) const {
    const int n = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                              from, PCRE2_NO_UTF_CHECK, match_.get(), nullptr);
    if (n == PCRE2_ERROR_NOMATCH) return {std::string_view::npos, std::string_view::npos};
    EXPECT_GT(n, 0) << "PCRE2 error " << n;
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match_.get());
    return {ends[0], ends[1]};
  }

  // The matches in `text` and what lies between them, in order.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const {
    size_t pos = 0;
    while (pos < text.size()) {
      const auto [begin, end] = find(text, pos);
      if (begin == std::string_view::npos) break;
      if (begin > pos) pieces.push_back(text.substr(pos, begin - pos));
      pieces.push_back(text.substr(begin, end - begin));
      pos = end;
    }
    if (pos < text.size()) pieces.push_back(text.substr(pos));
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

}  // namespace longhaul
