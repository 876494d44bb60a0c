// The pieces plots are drawn from: axes with round numbers, text and lines as SVG elements.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longhaul::eval {

// Where a value stands on an axis, in the units of the drawing.
struct Axis {
  double first = 0, last = 1;  // values
  double from = 0, to = 1;     // places
  bool is_log = false;
  std::vector<double> ticks = {};

  double at(double value) const;  // values beyond the ends stand at them
};

// From 0 to the first round number at or above `highest`, with about n_ticks steps of 1, 2 or 5
// times a power of ten.
Axis axis_from_zero(double highest, double from, double to, size_t n_ticks = 5);
// Logarithmic from lowest to highest, which are above 0 and differ, with powers of two as ticks.
Axis log_axis(double lowest, double highest, double from, double to);

enum class Anchor { kStart, kMiddle, kEnd };
std::string svg_text(double x, double y, Anchor anchor, std::string_view content,
                     std::string_view css_class = {});
std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class);

// "0.05", "300", "16K": a number for an axis.
std::string axis_number(double value);

// Plots are as wide as a phone's page, so that text is never scaled below its size; wider places
// enlarge them. Above kPlotTop stands the title.
inline constexpr double kPlotWidth = 360, kPlotTop = 46;
std::string open_svg(double height, std::string_view title);
// "What: of what" over two lines where one does not hold it.
std::string svg_title(const std::string& title);

// How wide a text of the plot's size is, about: 6.1 for each character.
double text_width(std::string_view content);

// Text with what XML takes for markup replaced, and bytes that are no XML characters dropped.
std::string escape_xml(std::string_view text);

}  // namespace longhaul::eval
