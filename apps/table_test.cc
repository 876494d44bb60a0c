#include "apps/table.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

Table sample() {
  Table table({"mode", ">tokens/s", "note"});
  table.add({"dense", "9.5", ""});
  table.add({"é", "1234.0", "fast"});
  return table;
}

TEST(Table, AlignsColumnsAndTrimsLines) {
  EXPECT_EQ(sample().plain(),
            "mode   tokens/s  note\n"
            "dense       9.5\n"
            "é        1234.0  fast\n");
}

TEST(Table, WritesMarkdown) {
  EXPECT_EQ(sample().markdown(),
            "| mode  | tokens/s | note |\n"
            "|-------|---------:|------|\n"
            "| dense |      9.5 |      |\n"
            "| é     |   1234.0 | fast |\n");
}

}  // namespace
}  // namespace longhaul
