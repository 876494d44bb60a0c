#include "apps/version.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <fstream>

#include "engine/device.h"
#include "kernels/instruction_set.h"
#include "longhaul_commit.h"

namespace longhaul {

std::string shell_quoted(const std::string& word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,%@";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string program_version() {
  return fmt::format("longhaul {} ({})", LONGHAUL_VERSION, LONGHAUL_COMMIT);
}

std::string compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string version_text() {
  return fmt::format("{}\nbuild: {}, {}\ninstructions: {}\ndevices: {}\nlibraries: {}",
                     program_version(), LONGHAUL_BUILD_TYPE, compiler_name(), instruction_set(),
                     fmt::join(device_names(), ", "), LONGHAUL_LIBRARIES);
}

std::string command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string line;
  for (std::string argument; std::getline(in, argument, '\0');) {
    line += (line.empty() ? "" : " ") + shell_quoted(argument);
  }
  return line;
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::string date = fmt::format("{:%d %B %Y, %H:%M}", fmt::localtime(now));
  if (date.starts_with('0')) date.erase(0, 1);
  return date;
}

}  // namespace longhaul
