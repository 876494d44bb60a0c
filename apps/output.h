// What leaves the program: exit statuses, JSON documents, sizes in words, warnings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// 2 for bad usage and bad input, 130 after Ctrl-C, 1 for anything else.
int exit_status(ErrorCode code);

// `text` for a line of a terminal: control characters (those of C1 and the ones that turn the
// direction of writing too) and bytes that are not UTF-8 as \n or \x1B. Whatever comes from a file
// passes through it before it is printed.
std::string printable(std::string_view text);

// "longhaul: " and the message, printable, on standard error; a failure to print it is nobody's.
void print_error(std::string_view message);

// What was printed so far is written. Error: not all of it, with the reason.
Status flush_output();

// Prints one document on standard output. Text that is not UTF-8 has its bad bytes replaced by
// U+FFFD, since JSON cannot hold them; token ids beside it stay exact.
void print_json(const nlohmann::ordered_json& document);

// The fields of `generate --json`.
nlohmann::ordered_json to_json(const GenerateResult& result);
nlohmann::ordered_json to_json(const AttentionStats& stats);

// Prints what the engine thinks the user should know, on standard error.
void print_warnings(const Engine& engine);

// "12.3%", or "-" where the whole is zero.
std::string percent(size_t part, size_t whole);

// The middle of at least one value; the mean of the two in the middle of an even number.
double median(std::vector<double> values);

}  // namespace longhaul
