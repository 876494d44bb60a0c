#include "apps/eval/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace longhaul::eval {
namespace {

constexpr double kWidth = 900, kHeight = 340;
constexpr double kLeft = 70, kRight = 330, kTop = 34, kBottom = 46;  // margins; right: the legend
constexpr size_t kTicks = 5;
constexpr std::array kColors = {"#4477aa", "#ee6677", "#228833", "#ccbb44",
                                "#66ccee", "#aa3377", "#777777", "#000000"};

// Where a value stands on an axis.
struct Axis {
  double first = 0, last = 1;  // values
  double from = 0, to = 1;     // pixels
  double at(double value) const { return from + (value - first) / (last - first) * (to - from); }
};

std::string number(double value) { return fmt::format("{:.4g}", value); }

struct Axes {
  Axis x, y;
};

Axes axes_of(const Plot& plot) {
  double x_low = INFINITY, x_high = -INFINITY, y_high = plot.y_top;
  for (const Series& series : plot.series) {
    for (const auto& point : series.points) {
      x_low = std::min(x_low, point.x);
      x_high = std::max(x_high, point.x);
      if (plot.y_top == 0) y_high = std::max({y_high, point.y, point.high});
    }
  }
  if (!(x_low < x_high)) {
    x_low = std::isfinite(x_low) ? x_low - 1 : 0;
    x_high = x_low + 2;
  }
  if (!(y_high > 0)) y_high = 1;
  return {{x_low, x_high, kLeft, kWidth - kRight}, {0, y_high, kHeight - kBottom, kTop}};
}

std::string text(double x, double y, const char* anchor, const std::string& content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_xml(content));
}

std::string line(double x1, double y1, double x2, double y2, const char* color) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
      y2, color);
}

std::string draw_axes(const Plot& plot, const Axes& axes) {
  std::string out = text(kLeft, 18, "start", plot.title);
  for (size_t i = 0; i <= kTicks; ++i) {
    const double share = static_cast<double>(i) / kTicks;
    const double y = axes.y.first + share * (axes.y.last - axes.y.first);
    out += line(axes.x.from, axes.y.at(y), axes.x.to, axes.y.at(y), "#dddddd");
    out += text(kLeft - 6, axes.y.at(y) + 4, "end", number(y));
    const double x = axes.x.first + share * (axes.x.last - axes.x.first);
    out += text(axes.x.at(x), kHeight - kBottom + 18, "middle", number(x));
  }
  out += line(axes.x.from, axes.y.from, axes.x.to, axes.y.from, "#000000");
  out += line(axes.x.from, axes.y.from, axes.x.from, axes.y.to, "#000000");
  out += text((axes.x.from + axes.x.to) / 2, kHeight - 8, "middle", plot.x_label);
  out += text(kLeft, kTop - 4, "end", plot.y_label);
  return out;
}

std::string draw_series(const Series& series, const Axes& axes, size_t index) {
  const char* color = kColors[index % kColors.size()];
  const char* dash = index < kColors.size() ? "none" : index < 2 * kColors.size() ? "6 3" : "2 3";
  std::string path, marks;
  for (const auto& point : series.points) {
    const double x = axes.x.at(point.x);
    const double y = axes.y.at(std::min(point.y, axes.y.last));
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x, y);
    marks +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>\n", x, y, color);
    if (point.low < point.high) {
      marks +=
          line(x, axes.y.at(point.low), x, axes.y.at(std::min(point.high, axes.y.last)), color);
    }
  }
  const double y = kTop + 6 + 15 * static_cast<double>(index);
  const double x = kWidth - kRight + 14;
  return fmt::format(
             "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" "
             "stroke-dasharray=\"{}\"/>\n",
             path, color, dash) +
         marks + line(x, y - 4, x + 18, y - 4, color) + text(x + 24, y, "start", series.name);
}

}  // namespace

std::string escape_xml(std::string_view content) {
  std::string out;
  for (const char c : content) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string svg(const Plot& plot) {
  const Axes axes = axes_of(plot);
  const double legend = kTop + 20 + 15 * static_cast<double>(plot.series.size());
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"sans-serif\" font-size=\"12\">\n",
      kWidth, std::max(kHeight, legend));
  out += draw_axes(plot, axes);
  for (size_t i = 0; i < plot.series.size(); ++i) out += draw_series(plot.series[i], axes, i);
  return out + "</svg>\n";
}

}  // namespace longhaul::eval
