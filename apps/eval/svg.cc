#include "apps/eval/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace longhaul::eval {
namespace {

// 1, 2 or 5 times a power of ten, at least `step`.
double round_step(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

const char* name_of(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

std::string class_of(std::string_view css_class) {
  return css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class);
}

}  // namespace

double Axis::at(double value) const {
  value = std::clamp(value, first, last);
  const double share =
      is_log ? std::log(value / first) / std::log(last / first) : (value - first) / (last - first);
  return from + share * (to - from);
}

Axis axis_from_zero(double highest, double from, double to, size_t n_ticks) {
  if (!(highest > 0)) highest = 1;
  const double step = round_step(highest / static_cast<double>(n_ticks));
  Axis axis{0, step * std::ceil(highest / step - 1e-9), from, to};
  const auto n_steps = static_cast<size_t>(std::lround(axis.last / step));
  for (size_t i = 0; i <= n_steps; ++i) axis.ticks.push_back(step * static_cast<double>(i));
  return axis;
}

Axis log_axis(double lowest, double highest, double from, double to) {
  Axis axis{lowest, highest, from, to, true};
  constexpr double kMostTicks = 6;
  const double factor = std::exp2(std::ceil(std::log2(highest / lowest) / kMostTicks));
  double tick = std::exp2(std::ceil(std::log2(lowest) - 1e-9));
  for (; tick <= highest * (1 + 1e-9); tick *= factor) axis.ticks.push_back(tick);
  return axis;
}

std::string svg_text(double x, double y, Anchor anchor, std::string_view content,
                     std::string_view css_class) {
  return fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                     class_of(css_class), x, y, name_of(anchor), escape_xml(content));
}

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return fmt::format("<line{} x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                     class_of(css_class), x1, y1, x2, y2);
}

std::string open_svg(double height, std::string_view title) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
      "aria-label=\"{}\">\n",
      kPlotWidth, height, escape_xml(title));
}

std::string svg_title(const std::string& title) {
  constexpr double kTitleScale = 1.08;  // bold, and a little larger
  const size_t colon = title.find(": ");
  if (colon == std::string::npos || text_width(title) * kTitleScale < kPlotWidth)
    return svg_text(0, 14, Anchor::kStart, title, "title");
  return svg_text(0, 14, Anchor::kStart, title.substr(0, colon), "title") +
         svg_text(0, 29, Anchor::kStart, title.substr(colon + 2), "label");
}

std::string axis_number(double value) {
  const double kilo = value / 1024;
  if (value >= 1024 && kilo == std::floor(kilo)) return fmt::format("{:.0f}K", kilo);
  return fmt::format("{:.6g}", value);
}

double text_width(std::string_view content) {
  return 6.1 * static_cast<double>(n_characters(content));
}

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

}  // namespace longhaul::eval
