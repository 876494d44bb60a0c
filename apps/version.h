// Which program this is and how it was called.
#pragma once

#include <string>

namespace longhaul {

// "longhaul 0.1.0 (a6d22ff)": the version and the commit it was built from, "-dirty" where files
// differed from it.
std::string program_version();

// "g++ 12.2.0": what built this program.
std::string compiler_name();

// The version, how it was built, what it computes with here, the libraries it was built with.
std::string version_text();

// A word as every shell reads it: between single quotes where it needs them.
std::string shell_quoted(const std::string& word);

// The command line of this process, quoted for a shell; empty where the system does not tell.
std::string command_line();

// "27 November 2026, 17:31", local time.
std::string date_now();

}  // namespace longhaul
