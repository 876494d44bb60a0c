// Questions of the user's own: a JSON object per line with a prompt and the right answer, and
// perhaps choices. With --shots the last lines of the file are worked examples that stand before
// every question, and no question themselves: whatever --items is, they are the same.
#include <algorithm>
#include <filesystem>

#include "apps/answer.h"
#include "apps/eval/item.h"
#include "apps/eval/question.h"
#include "apps/options.h"
#include "base/result.h"

namespace longhaul::eval {
namespace {

constexpr size_t kWorkedTokens = 512;     // for an answer with its working
constexpr const char* kBetween = "\n\n";  // behind a worked example

struct Line {
  size_t number = 0;  // from 1
  std::string_view text;
};

// All lines with something in them.
std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back({number, line});
  }
  return lines;
}

// Makes the items of one file, whose prompts all begin with the same examples.
class ItemMaker {
 public:
  ItemMaker(const Plan& plan, const Engine& engine, std::vector<Question> examples)
      : plan_(plan), engine_(engine), examples_(std::move(examples)) {}

  Result<Item> make(const Question& question) const {
    Item item;
    item.question = question.prompt;
    item.answer = question.answer;
    LH_ASSIGN_OR_RETURN(item.context, prompt(question.prompt));
    LH_ASSIGN_OR_RETURN(
        item.target, engine_.tokenize(std::string(question.gap()) + question.answer, false, false));
    item.max_tokens = plan_.max_tokens > 0   ? plan_.max_tokens
                      : question.is_worked() ? kWorkedTokens
                                             : item.target.size() + kSpareAnswerTokens;
    item.stop = stops(question);
    item.score = question.score();
    LH_ASSIGN_OR_RETURN(item.n_shared, shared_tokens(item.context));
    return item;
  }

 private:
  // The tokens of all examples and a last prompt.
  Result<std::vector<int32_t>> prompt(const std::string& last) const {
    if (!plan_.chat) {
      std::string text;
      for (const Question& example : examples_) {
        text += example.prompt;
        text += example.gap();
        text += example.answer + kBetween;
      }
      return engine_.tokenize(text + last, true, false);
    }
    std::vector<ChatTurn> turns;
    for (const Question& example : examples_) {
      turns.push_back({"user", example.prompt});
      turns.push_back({"assistant", example.answer});
    }
    turns.push_back({"user", last});
    return engine_.tokenize_chat(turns);
  }

  // Without a chat's marks, what ends an answer is what the text would go on with.
  std::vector<std::string> stops(const Question& question) const {
    if (plan_.chat) return {};
    const bool one_line = question.answer.find('\n') == std::string::npos;
    if (!question.is_worked() && one_line) return {"\n"};
    if (examples_.empty()) return {};
    // An answer that has such a gap itself ends where the next question begins as all do.
    for (const std::string& stop : {std::string(kBetween), kBetween + common_beginning()}) {
      if (std::none_of(examples_.begin(), examples_.end(), [&](const Question& example) {
            return example.answer.find(stop) != std::string::npos;
          }))
        return {stop};
    }
    return {};
  }

  // Of the prompts of all examples.
  std::string common_beginning() const {
    std::string_view common = examples_.front().prompt;
    for (const Question& example : examples_) {
      const auto [end, other] =
          std::mismatch(common.begin(), common.end(), example.prompt.begin(), example.prompt.end());
      common = common.substr(0, static_cast<size_t>(end - common.begin()));
    }
    return std::string(common);
  }

  // How many first tokens of a prompt are those of every other: found by its tokens, since the end
  // of the examples may melt into the question.
  Result<size_t> shared_tokens(const std::vector<int32_t>& context) const {
    if (examples_.empty()) return size_t{0};
    LH_ASSIGN_OR_RETURN(const auto examples, prompt(""));
    const auto [end, other] =
        std::mismatch(examples.begin(), examples.end(), context.begin(), context.end());
    return std::min(static_cast<size_t>(end - examples.begin()), context.size() - 1);
  }

  const Plan& plan_;
  const Engine& engine_;
  const std::vector<Question> examples_;
};

Result<Question> question_of(const Plan& plan, const std::string& path, const Line& line) {
  auto question = read_question(plan, line.text);
  if (!question) return bad_input("{}:{}: {}", path, line.number, question.error().message);
  return question;
}

}  // namespace

Status add_question_items(const Plan& plan, const Engine& engine, const std::string& path,
                          std::vector<Item>& items) {
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  const std::vector<Line> lines = lines_of(text);
  if (lines.size() <= plan.n_shots) {
    return bad_input("{}: expected a question in each line, more than {} for --shots, found {}",
                     path, plan.n_shots, lines.empty() ? "none" : std::to_string(lines.size()));
  }
  const size_t n_questions = lines.size() - plan.n_shots;
  std::vector<Question> examples;
  for (size_t i = n_questions; i < lines.size(); ++i) {
    LH_ASSIGN_OR_RETURN(Question example, question_of(plan, path, lines[i]));
    examples.push_back(std::move(example));
  }
  const ItemMaker maker(plan, engine, std::move(examples));
  const size_t first = items.size();
  size_t n_shared = SIZE_MAX;
  for (size_t i = 0; i < std::min(plan.n_items, n_questions); ++i) {
    LH_ASSIGN_OR_RETURN(const Question question, question_of(plan, path, lines[i]));
    auto item = maker.make(question);
    if (!item) return bad_input("{}:{}: {}", path, lines[i].number, item.error().message);
    item->task = std::filesystem::path(path).filename().string();
    item->index = i;
    n_shared = std::min(n_shared, item->n_shared);
    items.push_back(std::move(*item));
  }
  for (size_t i = first; i < items.size(); ++i) items[i].n_shared = n_shared;
  return {};
}

}  // namespace longhaul::eval
