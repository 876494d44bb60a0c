// docs/supported.md names what this program has: no more, no less.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "longhaul/engine.h"
#include "model/plan.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

using Names = std::set<std::string>;

// What stands between backquotes at the beginning of the rows of a section's table.
Names names_in(std::string_view section) {
  std::ifstream page(LONGHAUL_SOURCE_DIR "/docs/supported.md");
  Names names;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) inside = line.substr(3) == section;
    if (inside && line.starts_with("| `")) names.insert(line.substr(3, line.find('`', 3) - 3));
  }
  return names;
}

TEST(SupportedPage, NamesTheArchitectures) {
  Names known;
  for (const Architecture* architecture : all_architectures()) known.emplace(architecture->name);
  EXPECT_EQ(names_in("Architectures"), known);
}

TEST(SupportedPage, NamesTheTypesOfWeights) {
  Names known;
  for (const QuantTraits& row : all_quants()) known.emplace(tensor_type_info(row.type).name);
  EXPECT_EQ(names_in("Weights"), known);
}

TEST(SupportedPage, NamesTheTypesOfKeysAndValues) {
  Names known;
  for (uint8_t i = 0; to_string(KvType{i}) != "unknown"; ++i) known.emplace(to_string(KvType{i}));
  EXPECT_EQ(names_in("Keys and values"), known);
}

}  // namespace
}  // namespace longhaul
