#include <fmt/format.h>

#include <algorithm>

#include "apps/eval/plot.h"
#include "apps/eval/svg.h"

namespace longhaul::eval {

std::string svg(const DotPlot& plot) {
  constexpr double kRow = 34;     // a name and below it its value
  constexpr double kBottom = 40;  // numbers and what they are
  double high = plot.x_top;
  for (const auto& row : plot.rows) {
    if (plot.x_top == 0) high = std::max({high, row.value, row.high});
  }
  const double bottom = kPlotTop + kRow * static_cast<double>(plot.rows.size());
  const Axis x = axis_from_zero(high, 6, kPlotWidth - 14);
  std::string out = open_svg(bottom + kBottom, plot.title) + svg_title(plot.title);
  for (const double tick : x.ticks) {
    out += svg_line(x.at(tick), kPlotTop, x.at(tick), bottom, tick == 0 ? "axis" : "grid");
    out += svg_text(x.at(tick), bottom + 15, Anchor::kMiddle, axis_number(tick), "label");
  }
  out += svg_text((x.from + x.to) / 2, bottom + 32, Anchor::kMiddle, plot.x_label, "label");
  if (!plot.rows.empty() && plot.rows.front().color == "dense") {
    const auto& first = plot.rows.front();
    out += fmt::format("<g class=\"series {}\">\n", first.color) +
           svg_line(x.at(first.value), kPlotTop, x.at(first.value), bottom, "rule") + "</g>\n";
  }
  double y = kPlotTop;
  for (const auto& row : plot.rows) {
    out += fmt::format("<g class=\"series {}\">\n", row.color);
    out += svg_text(x.from + 3, y + 13, Anchor::kStart, row.name, "name");
    if (row.low < row.high)
      out += svg_line(x.at(row.low), y + 23, x.at(row.high), y + 23, "interval");
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n</g>\n", x.at(row.value),
                       y + 23);
    y += kRow;
  }
  return out + "</svg>\n";
}

}  // namespace longhaul::eval
