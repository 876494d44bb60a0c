// What a reader of a row must know about its budget: that the texts were too short to tell, or that
// --min-blocks and not the share decided it.
#pragma once

#include <string>
#include <vector>

#include "apps/eval/settings.h"

namespace longhaul::eval {

// One sentence, or nothing where the budget was what its name says. `lengths`: tokens of each of
// the row's texts at its end; `all_read`: every step read every block.
std::string budget_note(const Setting& setting, const std::vector<size_t>& lengths, bool all_read);

// True if a step at the end of every text would read every block.
bool reads_all(const Setting& setting, const std::vector<size_t>& lengths);

}  // namespace longhaul::eval
