#include "grammar/nfa.h"

#include <algorithm>
#include <map>

#include "grammar/limits.h"
#include "grammar/recursion.h"
#include "grammar/utf8_ranges.h"

namespace longhaul::grammar {
namespace {

constexpr size_t kDeepest = 1'500;        // parts within parts, copied rules included
constexpr size_t kDeepestCopy = 32;       // copied rules within copied rules
constexpr uint32_t kLargestCopy = 1'000;  // states
constexpr uint32_t kWeightOfRule = 10;    // a guess at the states of a rule that is not looked into

std::vector<std::vector<uint32_t>> rule_calls(const Syntax& syntax) {
  // What each part uses; parts are made after what they are made of, but for rules.
  std::vector<std::vector<uint32_t>> calls(syntax.rules().size());
  std::vector<uint32_t> work;
  std::vector<RuleId> seen_for(syntax.size(), kUnbounded);
  for (RuleId rule = 0; rule < calls.size(); ++rule) {
    work.assign(1, syntax.rules()[rule].body);
    while (!work.empty()) {
      const ExprId id = work.back();
      work.pop_back();
      if (seen_for[id] == rule) continue;
      seen_for[id] = rule;
      const Expr& expr = syntax[id];
      if (expr.kind == ExprKind::kRule) calls[rule].push_back(expr.rule);
      work.insert(work.end(), expr.parts.begin(), expr.parts.end());
      if (expr.kind == ExprKind::kJoin) work.push_back(expr.separator);
    }
  }
  return calls;
}

class Builder {
 public:
  explicit Builder(const Syntax& syntax)
      : syntax_(syntax), is_recursive_(on_a_cycle(rule_calls(syntax))) {
    weigh();
  }

  Result<Nfa> build(RuleId root) {
    nfa_.root = callee_of(root);
    // New callees are found while others are built.
    for (size_t i = 0; i < pending_.size(); ++i) {
      const auto [callee, body] = pending_[i];
      n_copied_ = 0;
      const StateId start = add_state();
      LH_ASSIGN_OR_RETURN(const StateId end, add(body, start));
      nfa_.callees[callee].start = start;
      nfa_.callees[callee].end = end;
    }
    return std::move(nfa_);
  }

 private:
  struct Pending {
    CalleeId callee;
    ExprId body;
  };

  // About how many states each part makes.
  void weigh() {
    weights_.resize(syntax_.size());
    for (ExprId id = 0; id < syntax_.size(); ++id) {
      const Expr& expr = syntax_[id];
      uint64_t weight = 1 + expr.text.size() + 3 * expr.chars.ranges().size();
      for (const ExprId part : expr.parts) {
        weight += weights_[part];
        if (expr.kind == ExprKind::kJoin) weight += 2 + weights_[expr.separator];
      }
      if (expr.kind == ExprKind::kRule) weight = kWeightOfRule;
      if (expr.kind == ExprKind::kRepeat && !is_counted(expr)) weight *= n_written(expr);
      weights_[id] = static_cast<uint32_t>(std::min<uint64_t>(weight, kMostStates));
    }
  }

  // How often a repetition is written out where it is not counted.
  static uint32_t n_written(const Expr& repeat) {
    return std::max<uint32_t>(1, repeat.max == kUnbounded ? repeat.min : repeat.max);
  }
  bool is_counted(const Expr& repeat) const {
    const uint32_t n = n_written(repeat);
    return n > 1 && (n > kMostUnrolled || uint64_t{n} * weights_[repeat.parts[0]] > kMostUnrolled);
  }

  StateId add_state() {
    nfa_.states.emplace_back();
    return static_cast<StateId>(nfa_.states.size() - 1);
  }
  void link(StateId from, StateId to) { nfa_.states[from].empty.push_back(to); }

  CalleeId add_callee(NfaCallee callee, ExprId body) {
    nfa_.callees.push_back(std::move(callee));
    const auto id = static_cast<CalleeId>(nfa_.callees.size() - 1);
    if (!nfa_.callees.back().is_repeat) pending_.push_back({id, body});
    return id;
  }
  CalleeId callee_of(RuleId rule) {
    const auto [known, is_new] = rule_callees_.try_emplace(rule, 0);
    if (is_new)
      known->second = add_callee({.name = syntax_.rules()[rule].name}, syntax_.rules()[rule].body);
    return known->second;
  }
  CalleeId callee_of(const Expr& repeat) {
    const ExprId body = repeat.parts[0];
    const auto [known, is_new] = element_callees_.try_emplace(body, 0);
    if (is_new) known->second = add_callee({.name = "a repeated part"}, body);
    return add_callee({.name = "a repetition",
                       .is_repeat = true,
                       .element = known->second,
                       .min = repeat.min,
                       .max = repeat.max},
                      body);
  }

  Result<StateId> call(CalleeId callee, StateId from) {
    const StateId to = add_state();
    nfa_.states[from].calls.push_back({callee, to});
    return to;
  }

  // Adds what a part says after the state `from`, to which nothing may lead from inside of it;
  // gives the state where it ends.
  Result<StateId> add(ExprId id, StateId from) {
    if (nfa_.states.size() > kMostStates)
      return bad_input("expected a grammar of at most {} states, found more", kMostStates);
    if (depth_ >= kDeepest)
      return bad_input("expected at most {} parts within parts, found more", kDeepest);
    ++depth_;
    auto end = add_kind(syntax_[id], from);
    --depth_;
    return end;
  }

  Result<StateId> add_kind(const Expr& expr, StateId from) {
    switch (expr.kind) {
      case ExprKind::kText:
        return add_text(expr.text, from);
      case ExprKind::kChars:
        return add_chars(expr.chars, from);
      case ExprKind::kSequence:
        return add_sequence(expr.parts, from);
      case ExprKind::kChoice:
        return add_choice(expr.parts, from);
      case ExprKind::kRepeat:
        return is_counted(expr) ? call(callee_of(expr), from) : add_repeat(expr, from);
      case ExprKind::kJoin:
        return add_join(expr, from);
      case ExprKind::kRule:
        return add_rule(expr.rule, from);
    }
    return from;
  }

  StateId add_text(const std::string& text, StateId from) {
    for (const char c : text) {
      const StateId to = add_state();
      const auto byte = static_cast<uint8_t>(c);
      nfa_.states[from].bytes.push_back({byte, byte, to});
      from = to;
    }
    return from;
  }

  StateId add_chars(const CharSet& chars, StateId from) {
    const StateId end = add_state();
    for (const CharRange& range : chars.ranges()) {
      for (const Utf8Range& form : utf8_ranges(range)) {
        StateId at = from;
        for (unsigned i = 0; i < form.n_bytes; ++i) {
          const StateId to = i + 1U == form.n_bytes ? end : add_state();
          nfa_.states[at].bytes.push_back({form.bytes[i].first, form.bytes[i].last, to});
          at = to;
        }
      }
    }
    return end;
  }

  Result<StateId> add_sequence(const std::vector<ExprId>& parts, StateId from) {
    for (const ExprId part : parts) {
      LH_ASSIGN_OR_RETURN(from, add(part, from));
    }
    return from;
  }

  Result<StateId> add_choice(const std::vector<ExprId>& parts, StateId from) {
    const StateId end = add_state();
    for (const ExprId part : parts) {
      LH_ASSIGN_OR_RETURN(const StateId part_end, add(part, from));
      link(part_end, end);
    }
    return end;
  }

  Result<StateId> add_repeat(const Expr& repeat, StateId from) {
    const ExprId part = repeat.parts[0];
    for (uint32_t i = 0; i < repeat.min; ++i) {
      LH_ASSIGN_OR_RETURN(from, add(part, from));
    }
    const StateId end = add_state();
    if (repeat.max == kUnbounded) {
      const StateId loop = add_state();
      link(from, loop);
      LH_ASSIGN_OR_RETURN(const StateId back, add(part, loop));
      link(back, loop);
      link(loop, end);
      return end;
    }
    for (uint32_t i = repeat.min; i < repeat.max; ++i) {
      link(from, end);
      const StateId begin = add_state();
      link(from, begin);
      LH_ASSIGN_OR_RETURN(from, add(part, begin));
    }
    link(from, end);
    return end;
  }

  // Before part i stands `first` if nothing came yet, else `rest`. Each part is made once, wherever
  // it comes from: objects of n optional members need n parts, not n * n.
  Result<StateId> add_join(const Expr& join, StateId from) {
    StateId first = add_state(), rest = add_state();
    link(from, first);
    for (size_t i = 0; i < join.parts.size(); ++i) {
      const StateId begin = add_state();
      link(first, begin);
      if (i > 0) {
        LH_ASSIGN_OR_RETURN(const StateId separated, add(join.separator, rest));
        link(separated, begin);
      }
      LH_ASSIGN_OR_RETURN(const StateId end, add(join.parts[i], begin));
      const StateId next_first = add_state(), next_rest = add_state();
      link(end, next_rest);
      if (join.is_optional[i]) {
        link(first, next_first);
        link(rest, next_rest);
      }
      first = next_first;
      rest = next_rest;
    }
    return rest;
  }

  Result<StateId> add_rule(RuleId rule, StateId from) {
    const ExprId body = syntax_.rules()[rule].body;
    if (copy_depth_ == 0) copy_begin_ = nfa_.states.size();
    const size_t n_copied = n_copied_ + nfa_.states.size() - copy_begin_;
    const bool is_copied = !is_recursive_[rule] && weights_[body] <= kLargestCopy &&
                           n_copied <= kMostInlined && copy_depth_ < kDeepestCopy;
    if (!is_copied) return call(callee_of(rule), from);
    ++copy_depth_;
    auto end = add(body, from);
    --copy_depth_;
    if (copy_depth_ == 0) n_copied_ += nfa_.states.size() - copy_begin_;
    return end;
  }

  const Syntax& syntax_;
  const std::vector<bool> is_recursive_;  // by rule
  std::vector<uint32_t> weights_;         // by part
  Nfa nfa_;
  std::map<RuleId, CalleeId> rule_callees_;
  std::map<ExprId, CalleeId> element_callees_;
  std::vector<Pending> pending_;
  size_t depth_ = 0, copy_depth_ = 0;
  size_t n_copied_ = 0;    // states of copied rules in the rule that is built
  size_t copy_begin_ = 0;  // where those of the copy that is made begin
};

}  // namespace

Result<Nfa> make_nfa(const Syntax& syntax, RuleId root) {
  LH_RETURN_IF_ERROR(syntax.check_size());
  return Builder(syntax).build(root);
}

}  // namespace longhaul::grammar
