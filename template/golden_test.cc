// Golden files: what Jinja2 makes of templates that use every construct, and of random expressions.
// LONGHAUL_TEMPLATE_CASES names a folder of further files, such as tools/jinja_oracle.py writes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "template/golden_cases.h"

namespace longhaul::jinja {
namespace {

class GoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, SaysWhatJinja2Says) {
  const auto cases = read_golden_cases(GetParam());
  ASSERT_FALSE(cases.empty());
  size_t n_rendered = 0;
  for (const GoldenCase& one : cases) {
    const Result<Text> text = render_case(one);
    if (one.output) {
      EXPECT_TRUE(text) << one.name << ": " << text.error().message;
      EXPECT_EQ(text ? text->bytes() : "", *one.output) << one.name;
      ++n_rendered;
    } else {
      // Where Jinja2 refuses, so do we.
      EXPECT_FALSE(text) << one.name << "\n"
                         << one.source << "\nJinja2: " << one.error << "\nfound "
                         << (text ? text->bytes() : "");
    }
  }
  EXPECT_GT(n_rendered, 0U);
}

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  const auto add_folder = [&](const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  };
  add_folder(std::string(LONGHAUL_SOURCE_DIR) + "/template/golden");
  if (const char* more = std::getenv("LONGHAUL_TEMPLATE_CASES")) add_folder(more);
  std::sort(files.begin(), files.end());
  return files;
}

std::string name_of_file(const testing::TestParamInfo<std::string>& file) {
  std::string name = std::filesystem::path(file.param).stem().string();
  const auto is_other = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; };
  std::replace_if(name.begin(), name.end(), is_other, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, testing::ValuesIn(golden_files()), name_of_file);

}  // namespace
}  // namespace longhaul::jinja
