// Plots as SVG, drawn without any script. Colours are the classes of report_style.h, so that a page
// may be light or dark.
#pragma once

#include <string>
#include <vector>

namespace longhaul::eval {

struct Series {
  std::string name;
  std::string color;  // a class: "dense", "c2"
  size_t dash = 0;    // tells series of one colour apart
  struct Point {
    double x = 0, y = 0;
    double low = 0, high = 0;  // an interval around y; equal to y without one
  };
  std::vector<Point> points = {};  // ascending in x
};

// Lines over a number. Names stand at the ends of the lines where they are few and short, below
// otherwise. Both axes begin at 0; x is logarithmic where its values span more than a factor of 8.
struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  double y_top = 0;  // 0: the highest value
};

// One value a row, with its interval; a rule through the first row's value where it is dense's.
struct DotPlot {
  std::string title, x_label;
  struct Row {
    std::string name, color;
    double value = 0, low = 0, high = 0;
  };
  std::vector<Row> rows;
  double x_top = 0;  // 0: the highest value
};

// A well-formed <svg> element that is as wide as its place.
std::string svg(const LinePlot& plot);
std::string svg(const DotPlot& plot);

// Takes what all names have in common out of them, word by word, and returns it: "sparse b16 f16",
// "exact b16 f16" become "sparse", "exact" and "b16 f16". A name that would be empty stays.
std::string take_common_words(std::vector<std::string*> names);

}  // namespace longhaul::eval
