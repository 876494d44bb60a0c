#include "grammar/machine.h"

#include <algorithm>

#include "grammar/limits.h"

namespace longhaul::grammar {
namespace {

constexpr PlaceId kUnknown = InternTable::kNone;
constexpr size_t kMostRows = 8'192;  // 8 MiB of what was found out; then it is found out again
constexpr NodeId kLeave = InternTable::kNone;  // in seen configs: the frame was left

uint64_t hash_of(const Frame& frame) {
  const uint64_t low = uint64_t{frame.target} << 32 | frame.count;
  return mix(mix(0, low), uint64_t{frame.parent} << 1 | uint64_t{frame.is_repeat});
}

uint64_t hash_of(Config config) { return mix(0, uint64_t{config.node} << 32 | config.frame); }

bool is_before(Config a, Config b) {
  return a.node != b.node ? a.node < b.node : a.frame < b.frame;
}

}  // namespace

Machine::Machine(const Automaton& automaton) : automaton_(&automaton) {
  frames_.resize(2);  // kEnd, kOpen
  places_.resize(1);  // kDead
  rows_.resize(1);
}

std::span<const Config> Machine::configs(PlaceId place) const {
  return {configs_.data() + places_[place].first_config, places_[place].n_configs};
}

void Machine::fail(std::string_view what, size_t limit) {
  if (!status_) return;
  status_ = unsupported(
      "the grammar is too ambiguous or nested too deeply for this text: expected at most {} {}, "
      "found "
      "more",
      limit, what);
}

FrameId Machine::frame_of(const Frame& frame) {
  const uint64_t hash = hash_of(frame);
  const uint32_t known = frame_table_.find(hash, [&](uint32_t id) { return frames_[id] == frame; });
  if (known != InternTable::kNone) return known;
  if (frames_.size() >= kMostFrames) {
    fail("kinds of nesting", kMostFrames);
    return kEnd;
  }
  const auto id = static_cast<FrameId>(frames_.size());
  frames_.push_back(frame);
  frame_table_.insert(hash, id);
  return id;
}

// Adds a stack to the place that is being made, unless it was seen.
void Machine::enter(Config config) {
  const uint64_t hash = hash_of(config);
  const auto is_same = [&](uint32_t i) { return seen_configs_[i] == config; };
  if (seen_.find(hash, is_same) != InternTable::kNone) return;
  if (seen_configs_.size() >= 4 * kMostConfigs) return fail("stacks at one place", kMostConfigs);
  seen_.insert(hash, static_cast<uint32_t>(seen_configs_.size()));
  seen_configs_.push_back(config);
  work_.push_back(config);
}

void Machine::leave(FrameId frame) {
  if (frame == kEnd) {
    may_end_ = true;
  } else if (frame == kOpen) {
    reaches_open_ = true;
  } else {
    enter({kLeave, frame});
  }
}

// A repetition that was said `count` times: once more, or on with what follows.
void Machine::enter_repeat(CalleeId repeat, uint32_t count, FrameId parent) {
  const Callee& callee = automaton_->callees[repeat];
  if (count >= callee.min) leave(parent);
  if (count >= callee.max) return;
  // Without an end, what is beyond `min` need not be told apart.
  const uint32_t next = callee.max == kUnbounded ? std::min(count + 1, callee.min) : count + 1;
  const FrameId frame =
      frame_of({.target = repeat, .count = next, .parent = parent, .is_repeat = true});
  enter({automaton_->callees[callee.element].start, frame});
}

void Machine::call(const CallEdge& edge, FrameId frame) {
  const FrameId back =
      edge.is_tail ? frame
                   : frame_of({.target = edge.to, .count = 0, .parent = frame, .is_repeat = false});
  const Callee& callee = automaton_->callees[edge.callee];
  if (callee.is_repeat) {
    enter_repeat(edge.callee, 0, back);
  } else {
    enter({callee.start, back});
  }
}

// Follows calls and ends of rules until there are nodes with bytes alone.
void Machine::close() {
  while (!work_.empty() && status_) {
    const Config config = work_.back();
    work_.pop_back();
    if (config.node == kLeave) {
      const Frame frame = frames_[config.frame];
      if (frame.is_repeat) {
        enter_repeat(frame.target, frame.count, frame.parent);
      } else {
        enter({frame.target, frame.parent});
      }
      continue;
    }
    const Node& node = automaton_->nodes[config.node];
    if (node.n_edges > 0) made_.push_back(config);
    if (node.is_final) leave(config.frame);
    for (const CallEdge& edge : automaton_->calls_of(config.node)) call(edge, config.frame);
  }
}

// The number of the place that was made.
PlaceId Machine::settle() {
  std::sort(made_.begin(), made_.end(), is_before);
  Place place{.first_config = static_cast<uint32_t>(configs_.size()),
              .n_configs = static_cast<uint32_t>(made_.size()),
              .may_end = may_end_,
              .reaches_open = reaches_open_};
  uint64_t hash = mix(uint64_t{may_end_} << 1 | uint64_t{reaches_open_}, made_.size());
  for (const Config config : made_) hash = mix(hash, hash_of(config));
  const auto is_same = [&](uint32_t id) {
    const auto other = configs(id);
    return places_[id].may_end == place.may_end && places_[id].reaches_open == place.reaches_open &&
           std::equal(other.begin(), other.end(), made_.begin(), made_.end());
  };
  const bool is_dead = !status_ || (made_.empty() && !may_end_ && !reaches_open_);
  PlaceId id = is_dead ? kDead : place_table_.find(hash, is_same);
  if (id == InternTable::kNone && places_.size() >= kMostSets) {
    fail("kinds of places", kMostSets);
    id = kDead;
  } else if (id == InternTable::kNone) {
    id = static_cast<PlaceId>(places_.size());
    configs_.insert(configs_.end(), made_.begin(), made_.end());
    places_.push_back(place);
    rows_.emplace_back();
    place_table_.insert(hash, id);
  }
  work_.clear();
  made_.clear();
  seen_.clear();
  seen_configs_.clear();
  may_end_ = reaches_open_ = false;
  return id;
}

PlaceId Machine::start() {
  const Callee& root = automaton_->callees[automaton_->root];
  enter({root.start, kEnd});
  close();
  return settle();
}

PlaceId Machine::resume(FrameId frame) {
  leave(frame);
  close();
  return settle();
}

PlaceId Machine::alone(Config config) {
  made_.push_back(config);
  return settle();
}

FrameId Machine::adopt_frame(const Machine& other, FrameId frame) {
  std::vector<FrameId> chain;
  for (; frame != kEnd && frame != kOpen; frame = other.frames_[frame].parent)
    chain.push_back(frame);
  for (; !chain.empty(); chain.pop_back()) {
    Frame copy = other.frames_[chain.back()];
    copy.parent = frame;
    frame = frame_of(copy);
  }
  return frame;
}

PlaceId Machine::adopt(const Machine& other, PlaceId place) {
  may_end_ = other.may_end(place);
  reaches_open_ = other.reaches_open(place);
  for (const Config config : other.configs(place))
    made_.push_back({config.node, adopt_frame(other, config.frame)});
  return settle();
}

PlaceId Machine::step(PlaceId from, uint8_t byte) {
  if (rows_[from] == nullptr) {
    if (n_rows_ >= kMostRows) {
      for (auto& row : rows_) row.reset();
      n_rows_ = 0;
    }
    rows_[from] = std::make_unique<Row>();
    rows_[from]->fill(kUnknown);
    ++n_rows_;
  }
  const PlaceId known = (*rows_[from])[byte];
  if (known != kUnknown) return known;
  for (const Config config : configs(from)) {
    const auto edges = automaton_->edges_of(config.node);
    const auto edge = std::partition_point(edges.begin(), edges.end(),
                                           [&](const ByteEdge& e) { return e.last < byte; });
    if (edge != edges.end() && edge->first <= byte) enter({edge->to, config.frame});
  }
  close();
  const PlaceId to = settle();
  if (status_) (*rows_[from])[byte] = to;
  return to;
}

}  // namespace longhaul::grammar
