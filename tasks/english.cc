#include "tasks/english.h"

#include <array>
#include <string_view>

namespace longhaul {
namespace {

constexpr std::array<std::string_view, 64> kNouns = {
    "river",    "bridge",  "garden",  "window",   "table",   "lamp",    "forest",  "valley",
    "harbor",   "market",  "school",  "tower",    "field",   "stone",   "cloud",   "meadow",
    "candle",   "letter",  "wagon",   "island",   "cellar",  "basket",  "mirror",  "hammer",
    "barrel",   "kettle",  "ladder",  "mountain", "orchard", "station", "village", "library",
    "carpet",   "pillow",  "blanket", "anchor",   "feather", "button",  "pocket",  "ribbon",
    "saddle",   "shovel",  "spoon",   "teapot",   "thread",  "ticket",  "tunnel",  "violin",
    "wallet",   "willow",  "cabin",   "castle",   "chapel",  "corner",  "desert",  "engine",
    "fountain", "glacier", "hallway", "jacket",   "kitchen", "lantern", "museum",  "needle"};
constexpr std::array<std::string_view, 24> kAdjectives = {
    "quiet",  "old",    "narrow", "green", "heavy", "bright", "empty",  "distant",
    "warm",   "broken", "gentle", "plain", "round", "silver", "wooden", "early",
    "famous", "hidden", "modest", "pale",  "rough", "steep",  "sturdy", "young"};
constexpr std::array<std::string_view, 16> kVerbs = {
    "stands near",  "leads to",     "looks like",    "lies behind", "belongs to", "waits beside",
    "faces",        "was built by", "is close to",   "points at",   "hides",      "rests on",
    "turns toward", "keeps",        "reminds us of", "came before"};
constexpr std::array<std::string_view, 12> kEndings = {
    "in the morning",  "after the rain", "without a sound", "every evening",
    "for many years",  "as people say",  "by the sea",      "in the spring",
    "under the trees", "on most days",   "when it is cold", "before noon"};

template <size_t N>
std::string draw(const std::array<std::string_view, N>& list, TaskRandom& random) {
  return std::string(list[random.below(N)]);
}

}  // namespace

std::string filler_sentence(TaskRandom& random) {
  std::string sentence = "The " + draw(kAdjectives, random) + " " + draw(kNouns, random) + " ";
  sentence += draw(kVerbs, random) + " the " + draw(kAdjectives, random) + " ";
  sentence += draw(kNouns, random);
  if (random.below(2) == 0) sentence += " " + draw(kEndings, random);
  return sentence + ".";
}

std::string listed(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? " " : ", ") + word;
  return text + ".";
}

size_t n_compound_words() { return kNouns.size() * (kNouns.size() - 1); }

std::string compound_word(size_t index) {
  const size_t first = index / (kNouns.size() - 1);
  size_t second = index % (kNouns.size() - 1);
  if (second >= first) ++second;  // no noun twice in a word
  return std::string(kNouns[first]) + "-" + std::string(kNouns[second]);
}

}  // namespace longhaul
