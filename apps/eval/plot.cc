#include "apps/eval/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/eval/svg.h"

namespace longhaul::eval {
namespace {

constexpr double kWidth = kPlotWidth, kTop = kPlotTop;
constexpr double kLeft = 44, kPlotHeight = 170, kBottom = 40;
constexpr double kLine = 15;           // of text
constexpr size_t kMostAtEnds = 8;      // lines that bear their names
constexpr double kMostEndWidth = 130;  // of such a name
constexpr double kLogSpan = 8;
constexpr std::array kDashes = {"none", "6 3", "2 3", "8 3 2 3"};

Axis x_axis_of(const LinePlot& plot, double right) {
  double low = INFINITY, high = 0;
  for (const Series& series : plot.series) {
    for (const auto& point : series.points) {
      low = std::min(low, point.x);
      high = std::max(high, point.x);
    }
  }
  if (low > 0 && std::isfinite(low) && high / low > kLogSpan) {
    return log_axis(low, high, kLeft, right);
  }
  return axis_from_zero(high, kLeft, right, 4);
}

Axis y_axis_of(const LinePlot& plot) {
  double high = plot.y_top;
  for (const Series& series : plot.series) {
    for (const auto& point : series.points) {
      if (plot.y_top == 0) high = std::max({high, point.y, point.high});
    }
  }
  return axis_from_zero(high, kTop + kPlotHeight, kTop);
}

std::string draw_axes(const LinePlot& plot, const Axis& x, const Axis& y) {
  std::string out;
  for (const double tick : y.ticks) {
    out += svg_line(x.from, y.at(tick), x.to, y.at(tick), tick == 0 ? "axis" : "grid");
    out += svg_text(kLeft - 6, y.at(tick) + 4, Anchor::kEnd, axis_number(tick), "label");
  }
  for (const double tick : x.ticks) {
    out += svg_line(x.at(tick), y.from, x.at(tick), y.from + 4, "axis");
    out += svg_text(x.at(tick), y.from + 17, Anchor::kMiddle, axis_number(tick), "label");
  }
  out += svg_text((x.from + x.to) / 2, y.from + 34, Anchor::kMiddle, plot.x_label, "label");
  return out + svg_text(kLeft, kTop - 7, Anchor::kEnd, plot.y_label, "label");
}

std::string draw_series(const Series& series, const Axis& x, const Axis& y) {
  std::string path, marks;
  for (const auto& point : series.points) {
    const double px = x.at(point.x), py = y.at(point.y);
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", px, py);
    if (point.low < point.high) {
      marks += svg_line(px, y.at(point.low), px, y.at(point.high), "interval");
    }
    marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"/>\n", px, py);
  }
  return fmt::format("<g class=\"series {}\">\n<polyline points=\"{}\" stroke-dasharray=\"{}\"/>\n",
                     series.color, path, kDashes[series.dash % kDashes.size()]) +
         marks + "</g>\n";
}

// Names at the ends of their lines, moved apart where they would overlap.
std::string draw_names(const LinePlot& plot, const Axis& x, const Axis& y) {
  struct Name {
    const Series* series;
    double end, place;  // where the line ends, where the name stands
  };
  std::vector<Name> names;
  for (const Series& series : plot.series) {
    if (series.points.empty()) continue;
    const double end = y.at(series.points.back().y);
    names.push_back({&series, end, end});
  }
  std::stable_sort(names.begin(), names.end(),
                   [](const Name& a, const Name& b) { return a.end < b.end; });
  // Downwards, then up again from the lower edge.
  double least = kTop;
  for (Name& name : names) least = (name.place = std::max(name.place, least)) + kLine;
  double most = y.from;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    most = (name->place = std::min(name->place, most)) - kLine;
  }
  std::string out;
  for (const Name& name : names) {
    out += fmt::format("<g class=\"series {}\">\n", name.series->color);
    out +=
        svg_line(x.at(name.series->points.back().x) + 4, name.end, x.to + 12, name.place, "leader");
    out +=
        svg_text(x.to + 15, name.place + 4, Anchor::kStart, name.series->name, "name") + "</g>\n";
  }
  return out;
}

std::string draw_legend(const LinePlot& plot, double y) {
  std::string out;
  for (const Series& series : plot.series) {
    out += fmt::format(
        "<g class=\"series {}\">\n<polyline points=\"{:.0f},{:.0f} {:.0f},{:.0f}\" "
        "stroke-dasharray=\"{}\"/>\n",
        series.color, kLeft, y, kLeft + 24, y, kDashes[series.dash % kDashes.size()]);
    out += svg_text(kLeft + 30, y + 4, Anchor::kStart, series.name, "name") + "</g>\n";
    y += kLine;
  }
  return out;
}

}  // namespace

std::string svg(const LinePlot& plot) {
  double name_width = 0;
  for (const Series& series : plot.series) {
    name_width = std::max(name_width, text_width(series.name));
  }
  const bool at_ends = plot.series.size() <= kMostAtEnds && name_width <= kMostEndWidth;
  const double right = at_ends ? kWidth - 18 - name_width : kWidth - 10;
  const Axis x = x_axis_of(plot, right);
  const Axis y = y_axis_of(plot);
  const double legend = kTop + kPlotHeight + kBottom + 10;
  const double height = at_ends ? kTop + kPlotHeight + kBottom
                                : legend + kLine * static_cast<double>(plot.series.size());
  std::string out = open_svg(height, plot.title) + svg_title(plot.title) + draw_axes(plot, x, y);
  for (const Series& series : plot.series) out += draw_series(series, x, y);
  return out + (at_ends ? draw_names(plot, x, y) : draw_legend(plot, legend)) + "</svg>\n";
}

}  // namespace longhaul::eval
