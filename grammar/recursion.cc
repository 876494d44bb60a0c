#include "grammar/recursion.h"

#include <algorithm>

namespace longhaul::grammar {
namespace {

// Strongly connected components (Tarjan 1972), with a stack of our own in place of calls.
class Components {
 public:
  explicit Components(const std::vector<std::vector<uint32_t>>& targets)
      : targets_(targets),
        order_(targets.size(), 0),
        lowest_(targets.size(), 0),
        is_open_(targets.size(), false),
        result_(targets.size(), false) {}

  std::vector<bool> find() {
    for (uint32_t v = 0; v < targets_.size(); ++v) {
      if (order_[v] == 0) visit(v);
    }
    return std::move(result_);
  }

 private:
  struct Visit {
    uint32_t vertex;
    size_t n_done = 0;  // of its edges
  };

  void begin(uint32_t v) {
    order_[v] = lowest_[v] = ++n_seen_;
    is_open_[v] = true;
    open_.push_back(v);
    visits_.push_back({v});
  }

  void visit(uint32_t root) {
    begin(root);
    while (!visits_.empty()) {
      Visit& top = visits_.back();
      const uint32_t v = top.vertex;
      if (top.n_done < targets_[v].size()) {
        const uint32_t to = targets_[v][top.n_done++];
        if (to == v) result_[v] = true;
        if (order_[to] == 0) {
          begin(to);
        } else if (is_open_[to]) {
          lowest_[v] = std::min(lowest_[v], order_[to]);
        }
        continue;
      }
      visits_.pop_back();
      if (!visits_.empty()) {
        uint32_t& above = lowest_[visits_.back().vertex];
        above = std::min(above, lowest_[v]);
      }
      if (lowest_[v] == order_[v]) close(v);
    }
  }

  // v was the first of its component to be seen; the others lie above it.
  void close(uint32_t v) {
    const bool is_alone = open_.back() == v;
    uint32_t member = 0;
    do {
      member = open_.back();
      open_.pop_back();
      is_open_[member] = false;
      if (!is_alone) result_[member] = true;
    } while (member != v);
  }

  const std::vector<std::vector<uint32_t>>& targets_;
  std::vector<uint32_t> order_, lowest_;  // 0: not seen
  std::vector<bool> is_open_, result_;
  std::vector<uint32_t> open_;
  std::vector<Visit> visits_;
  uint32_t n_seen_ = 0;
};

}  // namespace

std::vector<bool> on_a_cycle(const std::vector<std::vector<uint32_t>>& targets) {
  return Components(targets).find();
}

}  // namespace longhaul::grammar
