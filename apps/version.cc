#include "apps/version.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <fstream>

#include "longhaul_commit.h"

namespace longhaul {
namespace {

std::string shell_quoted(const std::string& argument) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,%@";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) return argument;
  std::string out = "'";
  for (const char c : argument) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string program_version() {
  return fmt::format("longhaul {} ({})", LONGHAUL_VERSION, LONGHAUL_COMMIT);
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
