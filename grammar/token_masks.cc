#include "grammar/token_masks.h"

#include <algorithm>

#include "grammar/limits.h"

namespace longhaul::grammar {
namespace {

constexpr size_t kMostMaskBytes = 24 << 20;  // then all are forgotten

// How much is left to `bound`, as far as a token of `longest` bytes can tell: every time takes a
// byte or changes nothing.
uint32_t left_of(uint32_t bound, uint32_t count, size_t longest) {
  const uint32_t left = bound - std::min(bound, count);
  return static_cast<uint32_t>(std::min<size_t>(left, longest + 1));
}

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<const Grammar> grammar,
                       std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      machine_(std::make_unique<Machine>(grammar_->automaton())) {}

TokenMasks::Key TokenMasks::key_of(Config config, const Frame& frame) const {
  if (!frame.is_repeat) return {config.node, kUnbounded, 0, 0};
  const Callee& repeat = grammar_->automaton().callees[frame.target];
  const size_t longest = trie_->max_depth();
  return {config.node, frame.target, left_of(repeat.min, frame.count, longest),
          repeat.max == kUnbounded ? kUnbounded : left_of(repeat.max, frame.count, longest)};
}

Result<std::shared_ptr<const NodeMask>> TokenMasks::find(Config config, const Frame& frame) {
  const Key key = key_of(config, frame);
  const std::lock_guard lock(mutex_);
  const auto known = masks_.find(key);
  if (known != masks_.end()) return known->second;
  if (machine_->n_places() > kMostSets / 2)
    machine_ = std::make_unique<Machine>(grammar_->automaton());
  auto mask = std::make_shared<const NodeMask>(make(config, frame));
  if (const Status status = machine_->status(); !status) {
    machine_ = std::make_unique<Machine>(grammar_->automaton());
    return tl::unexpected<Error>(status.error());
  }
  if (n_bytes_ + mask->n_bytes() > kMostMaskBytes) {
    masks_.clear();
    n_bytes_ = 0;
  }
  n_bytes_ += mask->n_bytes();
  masks_.emplace(key, mask);
  return mask;
}

NodeMask TokenMasks::make(Config config, const Frame& frame) {
  FrameId open = Machine::kOpen;
  if (frame.is_repeat) {
    Frame counted = frame;
    counted.parent = Machine::kOpen;
    open = machine_->frame_of(counted);
  }
  NodeMask mask;
  const auto n_nodes = static_cast<uint32_t>(trie_->nodes().size());
  walk(
      *machine_, *trie_, 0, n_nodes, 0, machine_->alone({config.node, open}), path_,
      [&](uint32_t node) {
        for (const int32_t token : trie_->tokens_at(node)) mask.few.push_back(token);
      },
      [&](uint32_t node) { mask.few_exits.push_back(node); });
  // A list is the smaller form below one in 32.
  if (mask.few.size() * 32 > trie_->vocab_size()) {
    mask.many.assign(n_words(trie_->vocab_size()), 0);
    for (const int32_t token : mask.few) set_bit(mask.many, token);
    mask.few = {};
  }
  if (mask.few_exits.size() * 32 > n_nodes) {
    mask.many_exits.assign(n_words(n_nodes), 0);
    for (const uint32_t node : mask.few_exits) set_bit(mask.many_exits, size_t{node});
    mask.few_exits = {};
  }
  mask.few.shrink_to_fit();
  mask.few_exits.shrink_to_fit();
  return mask;
}

}  // namespace longhaul::grammar
