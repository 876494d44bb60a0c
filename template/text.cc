#include "template/text.h"

#include <algorithm>

namespace longhaul::jinja {
namespace {

// The first range that ends behind `at`.
std::span<const TextRange>::iterator range_behind(std::span<const TextRange> ranges, size_t at) {
  return std::upper_bound(ranges.begin(), ranges.end(), at,
                          [](size_t pos, const TextRange& range) { return pos < range.end; });
}

}  // namespace

Text Text::own(std::string bytes) {
  Text text;
  text.bytes_ = std::move(bytes);
  return text;
}

Text Text::data(std::string bytes) {
  Text text = own(std::move(bytes));
  text.mark_data(0, text.size());
  return text;
}

void Text::mark_data(size_t begin, size_t end) {
  if (begin == end) return;
  if (!data_.empty() && data_.back().end == begin) {
    data_.back().end = end;
  } else {
    data_.push_back({begin, end});
  }
}

void Text::append_data(std::string_view bytes) {
  const size_t begin = size();
  bytes_ += bytes;
  mark_data(begin, size());
}

void Text::append(const Text& other, size_t begin, size_t end) {
  const size_t offset = size();
  bytes_.append(other.bytes_, begin, end - begin);
  const std::span<const TextRange> ranges = other.data();
  for (auto range = range_behind(ranges, begin); range != ranges.end() && range->begin < end;
       ++range) {
    mark_data(offset + std::max(range->begin, begin) - begin,
              offset + std::min(range->end, end) - begin);
  }
}

bool Text::is_data(size_t at) const {
  const std::span<const TextRange> ranges = data();
  const auto range = range_behind(ranges, at);
  return range != ranges.end() && range->begin <= at;
}

}  // namespace longhaul::jinja
