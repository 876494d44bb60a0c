// Items from a text file: seeded windows, and the whole file in strides.
#include <algorithm>

#include "apps/eval/item.h"
#include "apps/options.h"
#include "base/result.h"
#include "tasks/random.h"

namespace longhaul::eval {
namespace {

struct Text {
  std::vector<int32_t> bos;     // what a text begins with: one token or none
  std::vector<int32_t> tokens;  // without it
};

Result<Text> read_text(const Plan& plan, const Engine& engine, std::string_view task) {
  if (plan.text_file.empty()) return bad_input("--tasks {}: expected a file in --text", task);
  LH_ASSIGN_OR_RETURN(const std::string bytes, read_text_file(plan.text_file));
  Text text;
  LH_ASSIGN_OR_RETURN(text.tokens, engine.tokenize(bytes, false, false));
  LH_ASSIGN_OR_RETURN(text.bos, engine.tokenize("", true, false));
  return text;
}

// The text from `first` on: n_context tokens (the beginning mark included), then n_target.
Item window(const Text& text, size_t first, size_t n_context, size_t n_target) {
  Item item;
  item.context = text.bos;
  const auto begin = text.tokens.begin() + static_cast<std::ptrdiff_t>(first);
  const auto middle = begin + static_cast<std::ptrdiff_t>(n_context - text.bos.size());
  item.context.insert(item.context.end(), begin, middle);
  item.target.assign(middle, middle + static_cast<std::ptrdiff_t>(n_target));
  return item;
}

tl::unexpected<Error> too_short(const Plan& plan, const Text& text, size_t length) {
  return bad_input("{}: expected at least {} tokens, found {}", plan.text_file, length,
                   text.tokens.size());
}

}  // namespace

Status add_text_items(const Plan& plan, const Engine& engine, std::vector<Item>& items) {
  LH_ASSIGN_OR_RETURN(const Text text, read_text(plan, engine, kText));
  for (const size_t length : plan.lengths) {
    if (length < 4) return bad_input("--lengths: text needs at least 4 tokens, found {}", length);
    if (length > text.tokens.size()) return too_short(plan, text, length);
    const size_t n_target = std::min(plan.n_score, length / 2);
    TaskRandom random(plan.seed);
    for (size_t i = 0; i < plan.n_items; ++i) {
      const size_t n_text = length - text.bos.size();
      Item item =
          window(text, random.below(text.tokens.size() - n_text + 1), length - n_target, n_target);
      item.task = kText;
      item.length = length;
      item.index = i;
      items.push_back(std::move(item));
    }
  }
  return {};
}

Status add_perplexity_items(const Plan& plan, const Engine& engine, std::vector<Item>& items) {
  LH_ASSIGN_OR_RETURN(const Text text, read_text(plan, engine, kPerplexity));
  for (const size_t length : plan.lengths) {
    const size_t stride = plan.stride > 0 ? plan.stride : length / 2;
    if (stride == 0 || stride >= length) {
      return bad_input("--stride: expected less than the window of {} tokens, found {}", length,
                       stride);
    }
    const size_t n_text = length - text.bos.size();  // of a window
    if (n_text > text.tokens.size()) return too_short(plan, text, length);
    // The first window scores all that has something before it, later ones what is new.
    for (size_t i = 0; i * stride + n_text <= text.tokens.size(); ++i) {
      if (plan.n_windows > 0 && i == plan.n_windows) break;
      const size_t n_context = i == 0 ? 1 : length - stride;
      Item item = window(text, i * stride, n_context, length - n_context);
      item.task = kPerplexity;
      item.length = length;
      item.index = i;
      items.push_back(std::move(item));
    }
  }
  return {};
}

}  // namespace longhaul::eval
