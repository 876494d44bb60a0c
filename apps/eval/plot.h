// A plot of lines as SVG, drawn without any script.
#pragma once

#include <string>
#include <vector>

namespace longhaul::eval {

struct Series {
  std::string name;
  struct Point {
    double x = 0, y = 0;
    double low = 0, high = 0;  // an interval around y; equal to y without one
  };
  std::vector<Point> points;  // ascending in x
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  double y_top = 0;  // 0: the highest value
};

// A well-formed <svg> element of fixed size, with a legend beside the axes.
std::string svg(const Plot& plot);

// Text with what XML takes for markup replaced, and bytes that are no XML characters dropped.
std::string escape_xml(std::string_view text);

}  // namespace longhaul::eval
