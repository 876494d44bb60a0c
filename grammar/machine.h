// The automaton at work: places in texts, and where each byte leads from there.
//
// A place is the set of stacks that a text may be at. Stacks share their frames, and frames and
// places that are alike are stored once, so that a place is a number: going back is keeping the
// number. What was found out about a byte at a place is remembered.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/intern_table.h"

namespace longhaul::grammar {

using PlaceId = uint32_t;
using FrameId = uint32_t;

// What is left to do once a rule has ended.
struct Frame {
  uint32_t target = 0;  // a node; or a repetition, which then has been said `count` times
  uint32_t count = 0;
  FrameId parent = 0;
  bool is_repeat = false;

  bool operator==(const Frame&) const = default;
};

// A node with edges for bytes, and what is left to do behind its rule.
struct Config {
  NodeId node = 0;
  FrameId frame = 0;

  bool operator==(const Config&) const = default;
};

// Not safe to use from several threads. The automaton must outlive it.
class Machine {
 public:
  explicit Machine(const Automaton& automaton);

  // Frames with nothing below: the end of the text, and the end of what is looked at.
  static constexpr FrameId kEnd = 0, kOpen = 1;
  // The place of texts that are not in the language, nor the beginning of one.
  static constexpr PlaceId kDead = 0;

  PlaceId start();
  // Where one byte leads.
  PlaceId step(PlaceId from, uint8_t byte);
  // The place after a rule ended whose frame this is.
  PlaceId resume(FrameId frame);
  // A place with this stack alone; the calls of its node are left out.
  PlaceId alone(Config config);
  // The same place as one of another machine of this automaton.
  PlaceId adopt(const Machine& other, PlaceId place);

  std::span<const Config> configs(PlaceId place) const;
  // The text may end here (with kOpen: the part that is looked at).
  bool may_end(PlaceId place) const { return places_[place].may_end; }
  bool reaches_open(PlaceId place) const { return places_[place].reaches_open; }

  const Frame& frame(FrameId id) const { return frames_[id]; }
  FrameId frame_of(const Frame& frame);

  const Automaton& automaton() const { return *automaton_; }
  // Error: a limit was reached; what has been answered since is kDead.
  const Status& status() const { return status_; }
  size_t n_places() const { return places_.size(); }
  size_t n_frames() const { return frames_.size(); }

 private:
  struct Place {
    uint32_t first_config = 0, n_configs = 0;
    bool may_end = false, reaches_open = false;
  };
  using Row = std::array<PlaceId, 256>;  // by byte; kUnknown: not asked yet

  void enter(Config config);
  void enter_repeat(CalleeId repeat, uint32_t count, FrameId parent);
  void call(const CallEdge& edge, FrameId frame);
  void leave(FrameId frame);
  void close();
  PlaceId settle();
  void fail(std::string_view what, size_t limit);
  FrameId adopt_frame(const Machine& other, FrameId frame);

  const Automaton* automaton_;
  std::vector<Frame> frames_;
  std::vector<Place> places_;
  std::vector<Config> configs_;  // of all places
  std::vector<std::unique_ptr<Row>> rows_;
  size_t n_rows_ = 0;
  InternTable frame_table_, place_table_;
  Status status_;
  // The place that is being made.
  std::vector<Config> work_, made_;
  InternTable seen_;
  std::vector<Config> seen_configs_;
  bool may_end_ = false, reaches_open_ = false;
};

}  // namespace longhaul::grammar
