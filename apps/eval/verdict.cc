#include "apps/eval/verdict.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace longhaul::eval {
namespace {

double share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Total total_of(const Summary& summary, const Setting& setting) {
  Total total;
  total.setting = setting.name;
  total.mode = setting.attention.mode;
  double seconds = 0;
  size_t n_decoded = 0, n_read = 0, n_blocks = 0;
  for (const AnswerRow& row : summary.answers) {
    if (row.setting != setting.name) continue;
    total.n += row.n;
    total.n_right += row.n_right;
    total.n_lost += row.n_lost;
    total.n_won += row.n_won;
    total.n_same += row.n_same;
    total.beside_dense = row.beside_dense;
    seconds += row.decode_s;
    n_decoded += row.n_decoded;
    n_read += row.n_blocks_read;
    n_blocks += row.n_blocks;
  }
  total.right = wilson(total.n_right, total.n);
  total.difference = paired_difference(total.n_lost, total.n_won, total.n);
  total.tokens_per_s = seconds > 0 ? static_cast<double>(n_decoded) / seconds : 0;
  total.blocks_read = share(n_read, n_blocks);
  total.all_read = !setting.is_dense() && n_blocks > 0 && n_read == n_blocks;
  return total;
}

std::string points(double value) { return fmt::format("{:+.1f}", 100 * value); }

std::string names_of(const std::vector<const Total*>& list) {
  std::vector<std::string> names;
  for (const Total* total : list) names.push_back(total->setting);
  if (names.size() < 2) return names.empty() ? "" : names.front();
  const std::string last = std::move(names.back());
  names.pop_back();
  return fmt::format("{} and {}", fmt::join(names, ", "), last);
}

// What is left open where the answers cannot be told apart: the widest interval.
std::string open_range(const std::vector<const Total*>& list) {
  Interval range = list.front()->difference;
  for (const Total* total : list) {
    range.low = std::min(range.low, total->difference.low);
    range.high = std::max(range.high, total->difference.high);
  }
  return fmt::format("{} to {} points", points(range.low), points(range.high));
}

std::string on_answers(const std::vector<Total>& all) {
  const auto dense =
      std::find_if(all.begin(), all.end(), [](const Total& t) { return t.is_reference; });
  if (dense == all.end())
    return "Dense did not run, so that the answers are compared with nothing.";
  if (dense->n_right == 0) {
    return fmt::format(
        "Dense has none of the {} answers right: these items are beyond the model and say nothing "
        "about the modes.",
        dense->n);
  }
  std::vector<const Total*> same, all_read, open;
  std::vector<std::string> sentences;
  for (const Total& total : all) {
    if (&total == &*dense || !total.beside_dense) continue;
    if (total.all_read) {
      all_read.push_back(&total);
    } else if (total.n_same == total.n) {
      same.push_back(&total);
    } else if (total.is_worse() || total.is_better()) {
      sentences.push_back(fmt::format("{} is {} than dense: {}.", total.setting,
                                      total.is_worse() ? "worse" : "better",
                                      difference_in_words(total)));
    } else {
      open.push_back(&total);
    }
  }
  if (!open.empty()) {
    sentences.push_back(fmt::format("{} cannot be told from dense by {} items: {} are open (95%).",
                                    names_of(open), dense->n, open_range(open)));
  }
  if (!same.empty()) {
    sentences.push_back(
        fmt::format("{} gave dense's very text on all {} items.", names_of(same), dense->n));
  }
  if (!all_read.empty()) {
    sentences.push_back(fmt::format(
        "{} read every block at every step: the texts are too short to tell.", names_of(all_read)));
  }
  if (sentences.empty()) return "Dense ran alone: there is nothing to compare.";
  return fmt::format("{}", fmt::join(sentences, " "));
}

std::string on_divergence(const Summary& summary, const std::vector<Setting>& settings) {
  std::vector<std::string> parts;
  for (const Setting& setting : settings) {
    if (setting.is_dense()) continue;
    for (const ForcedRow& row : summary.forced) {
      if (row.setting != setting.name) continue;
      const bool has_interval = row.kl_interval.low < row.kl_interval.high;
      parts.push_back(fmt::format(
          "{} {:.4f} on {}{}", setting.name, row.mean_kl,
          row.length == 0 ? row.task : fmt::format("{}, {} tokens", row.task, row.length),
          has_interval
              ? fmt::format(" (95%: {:.4f} to {:.4f})", row.kl_interval.low, row.kl_interval.high)
              : ""));
    }
  }
  constexpr size_t kMostParts = 4;  // the table has them all
  if (parts.empty() || parts.size() > kMostParts) return "";
  return fmt::format("Mean divergence from dense, in nats a token: {}.", fmt::join(parts, "; "));
}

}  // namespace

std::string difference_in_words(const Total& total) {
  const double difference = share(total.n_won, total.n) - share(total.n_lost, total.n);
  return fmt::format("{} points (95%: {} to {})", points(difference), points(total.difference.low),
                     points(total.difference.high));
}

std::vector<Total> totals(const Summary& summary, const std::vector<Setting>& settings) {
  std::vector<Total> all;
  bool has_reference = false;
  for (const Setting& setting : settings) {
    Total total = total_of(summary, setting);
    if (total.n == 0) continue;
    total.is_reference = setting.is_dense() && !has_reference;
    has_reference |= total.is_reference;
    all.push_back(std::move(total));
  }
  return all;
}

std::string verdict(const Summary& summary, const std::vector<Setting>& settings) {
  const std::vector<Total> all = totals(summary, settings);
  const std::string answers = all.empty() ? "" : on_answers(all);
  const std::string divergence = on_divergence(summary, settings);
  return answers + (answers.empty() || divergence.empty() ? "" : " ") + divergence;
}

}  // namespace longhaul::eval
