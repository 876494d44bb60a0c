// The texts of a vocabulary, so arranged that what begins alike is looked at once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace longhaul::grammar {

// The nodes stand in the order of a walk: a node, then what goes on from it. Immutable.
class TokenTrie {
 public:
  static constexpr uint32_t kRoot = UINT32_MAX;

  struct Node {
    uint32_t after = 0;        // the next node that does not go on from this one
    uint32_t first_token = 0;  // in tokens(); those of node i end where those of node i + 1 begin
    uint32_t before = kRoot;   // the node that it goes on from
    uint16_t depth = 0;        // bytes up to and with this one
    uint8_t byte = 0;
  };

  // texts[i]: the bytes of token i; empty for tokens that are not text, and for those in `ends`,
  // which end a text.
  TokenTrie(std::span<const std::string_view> texts, std::vector<int32_t> ends);

  // Without the root, which stands before all: node 0 is the first byte of the first text.
  std::span<const Node> nodes() const { return {nodes_.data(), nodes_.size() - 1}; }
  // Those with that byte, ascending.
  std::span<const uint32_t> nodes_with(uint8_t byte) const {
    const auto first = nodes_by_byte_.begin() + first_with_[byte];
    return {first, nodes_by_byte_.begin() + first_with_[byte + 1U]};
  }
  // The tokens whose text ends at a node, and those of all that goes on from it.
  std::span<const int32_t> tokens_at(uint32_t node) const { return tokens(node, node + 1); }
  std::span<const int32_t> tokens(uint32_t first, uint32_t end) const {
    return {tokens_.data() + nodes_[first].first_token, tokens_.data() + nodes_[end].first_token};
  }
  std::span<const int32_t> ends() const { return ends_; }
  size_t vocab_size() const { return texts_.size(); }
  // Of a token; empty where it may not be part of a text.
  std::string_view text(int32_t token) const;
  bool is_end(int32_t token) const;

  size_t max_depth() const { return max_depth_; }

 private:
  struct Text {
    uint32_t first = 0, n_bytes = 0;  // in bytes_
  };

  void list_by_byte();

  std::vector<Node> nodes_;                    // and one behind the last
  std::array<uint32_t, 257> first_with_ = {};  // in nodes_by_byte_, as bytes
  std::vector<uint32_t> nodes_by_byte_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> ends_;
  std::vector<Text> texts_;
  std::vector<char> bytes_;
  size_t max_depth_ = 0;
};

}  // namespace longhaul::grammar
