#include "tasks/task.h"

#include <algorithm>
#include <array>

#include "tasks/random.h"

namespace longhaul {
namespace {

constexpr size_t kNameCount = 1024;

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \n\t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \n\t") - first + 1);
}

// Takes the text up to and including the next ";" from the front of `rest`.
std::string_view take_step(std::string_view& rest) {
  const auto end = std::min(rest.find(';'), rest.size() - 1) + 1;
  const std::string_view step = rest.substr(0, end);
  rest.remove_prefix(end);
  return step;
}

// Words and names that consonant-vowel pairs happen to spell.
constexpr std::array kEnglish = {
    "data", "zero", "hero", "solo", "logo", "sofa", "soda", "memo", "demo", "veto", "halo",
    "polo", "taxi", "semi", "mini", "kilo", "dodo", "mama", "papa", "gala", "saga", "lava",
    "visa", "diva", "sega", "toga", "yoga", "mono", "nano", "tofu", "guru", "menu", "tutu",
    "judo", "ludo", "lulu", "peru", "mali", "fiji", "togo", "lima", "rosa", "sara", "nina",
    "lisa", "dana", "lara", "mira", "roma", "lola", "pisa", "nazi", "levi", "gigi", "zulu",
    "limo", "silo", "typo", "puma", "tuna", "luna", "nova", "vega", "lego", "dali", "bali",
    "mesa", "nasa", "pita", "rota", "sumo", "tiki", "nato", "nero", "tina", "demi"};

std::vector<std::string> make_names() {
  constexpr std::string_view kConsonants = "bdfgklmnprstvz";
  constexpr std::string_view kVowels = "aeiou";
  std::vector<std::string> names;
  for (const char a : kConsonants)
    for (const char b : kVowels)
      for (const char c : kConsonants)
        for (const char d : kVowels) {
          const std::string name{a, b, c, d};
          const bool english =
              d == 'e' || std::find(kEnglish.begin(), kEnglish.end(), name) != kEnglish.end();
          if (!english) names.push_back(name);  // a final e would spell many English words
        }
  TaskRandom random(1);
  random.shuffle(names);
  names.resize(kNameCount);
  return names;
}

}  // namespace

const std::vector<std::string>& task_names() {
  static const std::vector<std::string> names = make_names();
  return names;
}

TaskScore score_answer(const Task& task, std::string_view generated) {
  std::string_view want = trim(task.answer);
  std::string_view got = trim(generated);
  TaskScore score;
  bool right = true;
  while (!want.empty()) {
    const std::string_view step = take_step(want);
    ++score.n_steps;
    right = right && !got.empty() && take_step(got) == step;
    score.n_right_steps += right ? 1 : 0;
  }
  score.exact = right && got.empty();
  return score;
}

}  // namespace longhaul
