// Errors as values: what every call that can fail returns.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace longhaul {

enum class ErrorCode {
  kBadInput,     // a file, option or request says something impossible: exit status 2
  kUnsupported,  // well formed, but of a kind this engine does not know: exit status 2
  kIo,           // the operating system refused: exit status 1
  kOutOfMemory,  // the plan does not fit: exit status 1
  kCancelled,    // stopped by the caller: exit status 1
};

// What went wrong, in a sentence that names the file, key or field, what was expected and what was
// found.
struct Error {
  ErrorCode code = ErrorCode::kBadInput;
  std::string message;
};

// A value or an Error. Dropping one is a compiler warning.
template <class T>
struct [[nodiscard]] Result : tl::expected<T, Error> {
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

}  // namespace longhaul
