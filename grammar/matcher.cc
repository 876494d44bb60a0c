#include "grammar/matcher.h"

#include <algorithm>

#include "grammar/limits.h"

namespace longhaul::grammar {
namespace {

// Masks that are kept of a text: structures repeat themselves. 19 KB each for 152K tokens.
constexpr size_t kMostKnown = 128;

}  // namespace

Matcher::Matcher(std::shared_ptr<TokenMasks> masks)
    : masks_(std::move(masks)),
      machine_(masks_->grammar().automaton()),
      over_(n_words(trie().vocab_size())),
      none_(over_) {
  for (const int32_t token : trie().ends()) set_bit(over_, token);
}

TextState Matcher::start() { return {.place = machine_.start()}; }

TextState Matcher::accept_bytes(TextState state, std::string_view bytes) {
  if (state.is_over) return {};
  for (const char byte : bytes) {
    state.place = machine_.step(state.place, static_cast<uint8_t>(byte));
  }
  if (status_ && !machine_.status()) status_ = machine_.status();
  return state;
}

TextState Matcher::accept(TextState state, int32_t token) {
  if (trie().is_end(token)) {
    if (state.is_over || is_complete(state)) return {.is_over = true};
    return {};
  }
  const std::string_view text = trie().text(token);
  return text.empty() ? TextState() : accept_bytes(state, text);
}

bool Matcher::is_complete(TextState state) const {
  return state.is_over || machine_.may_end(state.place);
}

const TokenBits& Matcher::mask(TextState state) {
  if (state.is_over) return over_;
  if (state.place == Machine::kDead || !status_) return none_;
  const auto known = known_.find(state.place);
  if (known != known_.end()) return known->second;
  TokenBits bits = make_mask(state.place);
  if (!status_) return none_;
  if (known_.size() >= kMostKnown) known_.clear();
  return known_.emplace(state.place, std::move(bits)).first->second;
}

bool Matcher::is_large() const {
  return machine_.n_places() > kMostSets / 2 || machine_.n_frames() > kMostFrames / 2;
}

void Matcher::forget(std::span<TextState> but) {
  Machine fresh(machine_.automaton());
  for (TextState& state : but) state.place = fresh.adopt(machine_, state.place);
  machine_ = std::move(fresh);
  known_.clear();
}

TokenBits Matcher::make_mask(PlaceId place) {
  TokenBits bits = machine_.may_end(place) ? over_ : none_;
  const auto found = machine_.configs(place);
  const std::vector<Config> configs(found.begin(), found.end());  // new places move them
  for (const Config config : configs) {
    Status status = add_config(config, bits);
    if (status) status = machine_.status();
    if (!status) {
      status_ = std::move(status);
      break;
    }
  }
  return bits;
}

Status Matcher::add_config(Config config, TokenBits& bits) {
  const Frame frame = config.frame == Machine::kEnd ? Frame() : machine_.frame(config.frame);
  LH_ASSIGN_OR_RETURN(const auto mask, masks_->find(config, frame));
  for (const int32_t token : mask->few) set_bit(bits, token);
  for (size_t i = 0; i < mask->many.size(); ++i) bits[i] |= mask->many[i];
  const bool may_leave = !mask->few_exits.empty() || !mask->many_exits.empty();
  if (may_leave)
    add_behind(*mask, machine_.resume(frame.is_repeat ? frame.parent : config.frame), bits);
  return {};
}

// What goes on from the exits of a mask, at the place behind its rule.
void Matcher::add_behind(const NodeMask& mask, PlaceId behind, TokenBits& bits) {
  const auto nodes = trie().nodes();
  const auto go_on = [&](uint32_t first, uint32_t end, size_t depth) {
    const auto said = [&](uint32_t node) {
      for (const int32_t token : trie().tokens_at(node)) set_bit(bits, token);
    };
    walk(machine_, trie(), first, end, depth, behind, path_, said, [](uint32_t) {});
  };
  for (const uint32_t exit : mask.few_exits) go_on(exit + 1, nodes[exit].after, nodes[exit].depth);
  if (mask.many_exits.empty()) return;
  // Few bytes go on from there as a rule, and of the nodes that have them few stand behind an exit.
  for (size_t byte = 0; byte < 256; ++byte) {
    if (machine_.step(behind, static_cast<uint8_t>(byte)) == Machine::kDead) continue;
    for (const uint32_t node : trie().nodes_with(static_cast<uint8_t>(byte))) {
      const uint32_t before = nodes[node].before;
      if (before == TokenTrie::kRoot || !mask.is_exit(before)) continue;
      go_on(node, nodes[node].after, nodes[node].depth - 1U);
    }
  }
}

}  // namespace longhaul::grammar
