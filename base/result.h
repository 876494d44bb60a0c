// Building and passing on errors. Bad input (files, flags, requests) returns an Error; a broken
// invariant stops at LH_CHECK.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "longhaul/result.h"

namespace longhaul {

// Builds an error from a format string: `return make_error(ErrorCode::kIo, "{}: {}", path,
// reason);`
template <class... Args>
tl::unexpected<Error> make_error(ErrorCode code, fmt::format_string<Args...> format,
                                 Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

template <class... Args>
tl::unexpected<Error> bad_input(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kBadInput, format, std::forward<Args>(args)...);
}

template <class... Args>
tl::unexpected<Error> unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kUnsupported, format, std::forward<Args>(args)...);
}

}  // namespace longhaul

#define LH_CONCAT_INNER(a, b) a##b
#define LH_CONCAT(a, b) LH_CONCAT_INNER(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define LH_RETURN_IF_ERROR(expr)                                              \
  do {                                                                        \
    if (auto lh_status = (expr); !lh_status) {                                \
      return tl::unexpected<::longhaul::Error>(std::move(lh_status.error())); \
    }                                                                         \
  } while (false)

// Declares `decl` from the value of `expr`, or returns its error: LH_ASSIGN_OR_RETURN(auto file,
// open(path));
#define LH_ASSIGN_OR_RETURN(decl, expr) \
  LH_ASSIGN_OR_RETURN_IMPL(LH_CONCAT(lh_result_, __LINE__), decl, expr)
#define LH_ASSIGN_OR_RETURN_IMPL(tmp, decl, expr)                     \
  auto tmp = (expr);                                                  \
  if (!tmp) {                                                         \
    return tl::unexpected<::longhaul::Error>(std::move(tmp.error())); \
  }                                                                   \
  decl = std::move(*tmp)
