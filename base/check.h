// Invariants. LH_CHECK is always on and guards the borders of rooms; LH_DCHECK vanishes in release
// builds.
#pragma once

namespace longhaul {

// Prints the place and the condition to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace longhaul

#define LH_CHECK(condition)                                                     \
  do {                                                                          \
    if (!(condition)) ::longhaul::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

#ifdef NDEBUG
#define LH_DCHECK(condition) \
  do {                       \
  } while (false)
#else
#define LH_DCHECK(condition) LH_CHECK(condition)
#endif
