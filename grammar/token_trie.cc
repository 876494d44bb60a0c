#include "grammar/token_trie.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace longhaul::grammar {
namespace {

// Longer ones are never drawn: none that is known has more than a few hundred bytes.
constexpr size_t kLongestText = std::numeric_limits<uint16_t>::max();

size_t n_common(std::string_view a, std::string_view b) {
  const auto [at, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(at - a.begin());
}

}  // namespace

TokenTrie::TokenTrie(std::span<const std::string_view> texts, std::vector<int32_t> ends)
    : ends_(std::move(ends)), texts_(texts.size()) {
  std::vector<int32_t> order;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (texts[i].empty() || texts[i].size() > kLongestText || is_end(id)) continue;
    texts_[i] = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(texts[i].size())};
    bytes_.insert(bytes_.end(), texts[i].begin(), texts[i].end());
    order.push_back(id);
  }
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const std::string_view text_a = texts[static_cast<size_t>(a)];
    const std::string_view text_b = texts[static_cast<size_t>(b)];
    return text_a != text_b ? text_a < text_b : a < b;
  });
  std::vector<uint32_t> path;  // the nodes that lead to the last text
  const auto go_up = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back())
      nodes_[path.back()].after = static_cast<uint32_t>(nodes_.size());
  };
  std::string_view last;
  for (const int32_t id : order) {
    const std::string_view text = texts[static_cast<size_t>(id)];
    go_up(n_common(last, text));
    while (path.size() < text.size()) {
      const auto byte = static_cast<uint8_t>(text[path.size()]);
      const uint32_t before = path.empty() ? kRoot : path.back();
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.first_token = static_cast<uint32_t>(tokens_.size()),
                        .before = before,
                        .depth = static_cast<uint16_t>(path.size()),
                        .byte = byte});
    }
    tokens_.push_back(id);
    max_depth_ = std::max(max_depth_, text.size());
    last = text;
  }
  go_up(0);
  list_by_byte();
  nodes_.push_back({.first_token = static_cast<uint32_t>(tokens_.size())});
}

void TokenTrie::list_by_byte() {
  for (const Node& node : nodes_) ++first_with_[node.byte + 1U];
  std::partial_sum(first_with_.begin(), first_with_.end(), first_with_.begin());
  nodes_by_byte_.resize(nodes_.size());
  auto next = first_with_;
  for (uint32_t i = 0; i < nodes_.size(); ++i) nodes_by_byte_[next[nodes_[i].byte]++] = i;
}

std::string_view TokenTrie::text(int32_t token) const {
  const Text& text = texts_[static_cast<size_t>(token)];
  return {bytes_.data() + text.first, text.n_bytes};
}

bool TokenTrie::is_end(int32_t token) const {
  return std::find(ends_.begin(), ends_.end(), token) != ends_.end();
}

}  // namespace longhaul::grammar
