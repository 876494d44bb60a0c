// Questions of the user's own: a JSON object per line with a prompt and the right answer, and
// perhaps choices.
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/answer.h"
#include "apps/eval/item.h"
#include "apps/options.h"
#include "base/result.h"
#include "tasks/answers.h"

namespace longhaul::eval {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kWorkedTokens = 512;  // for an answer with its working

struct Question {
  std::string prompt;
  std::string answer;
  std::string check;  // "exact", "boxed" or "choice"
  size_t n_choices = 0;
};

// The string of the first of these fields that the object has.
Result<std::string> text_field(const Json& object, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = object.find(name);
    if (found == object.end()) continue;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_number()) return found->dump();
    return bad_input("field '{}': expected text, found {}", name, found->type_name());
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return bad_input("expected a field {}, found {}", fmt::join(names, " or "),
                   keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", ")));
}

// The letter of the right choice, which the file may give as a letter, a number from 0 or a text.
Result<std::string> right_letter(const Json& object, const std::vector<std::string>& choices) {
  LH_ASSIGN_OR_RETURN(const std::string answer, text_field(object, {"answer"}));
  const auto letter = [](size_t i) { return std::string(1, static_cast<char>('A' + i)); };
  for (size_t i = 0; i < choices.size(); ++i) {
    if (answer == letter(i) || answer == choices[i]) return letter(i);
    if (object["answer"].is_number() && answer == std::to_string(i)) return letter(i);
  }
  return bad_input("field 'answer': expected one of the {} choices, found '{}'", choices.size(),
                   answer);
}

Status read_choices(const Json& object, Question& question) {
  std::vector<std::string> choices;
  for (const Json& choice : object["choices"]) {
    if (!choice.is_string()) {
      return bad_input("field 'choices': expected a list of texts, found {}", choice.type_name());
    }
    choices.push_back(choice);
  }
  if (choices.size() < 2 || choices.size() > 26) {
    return bad_input("field 'choices': expected 2 to 26, found {}", choices.size());
  }
  LH_ASSIGN_OR_RETURN(question.answer, right_letter(object, choices));
  question.n_choices = choices.size();
  for (size_t i = 0; i < choices.size(); ++i) {
    question.prompt += fmt::format("\n{}. {}", static_cast<char>('A' + i), choices[i]);
  }
  question.prompt += "\nAnswer with the letter.\nAnswer:";
  return {};
}

Result<Question> read_question(const Plan& plan, std::string_view line) {
  const Json object = Json::parse(line, nullptr, false);
  if (!object.is_object()) return bad_input("expected a JSON object");
  Question question;
  LH_ASSIGN_OR_RETURN(question.prompt, text_field(object, {"prompt", "question"}));
  const bool has_choices = object.contains("choices");
  if (has_choices && !object["choices"].is_array()) return bad_input("field 'choices': no list");
  if (has_choices) {
    LH_RETURN_IF_ERROR(read_choices(object, question));
  } else {
    LH_ASSIGN_OR_RETURN(question.answer, text_field(object, {"answer"}));
    if (!object.contains("prompt") && !plan.chat) {
      question.prompt = "Question: " + question.prompt + "\nAnswer:";
    }
  }
  const bool worked = question.answer.find("####") != std::string::npos ||
                      question.answer.find("\\boxed{") != std::string::npos;
  question.check = !plan.check.empty() ? plan.check
                   : has_choices       ? "choice"
                   : worked            ? "boxed"
                                       : "exact";
  if (question.check == "choice" && !has_choices) return bad_input("expected a field 'choices'");
  if (question.check == "boxed" && !final_result(question.answer)) {
    return bad_input("field 'answer': expected a result to compare with, found none");
  }
  return question;
}

TaskScore one_step(bool right) { return {1, right ? 1 : 0, right}; }

std::function<TaskScore(std::string_view)> checker(const Question& question) {
  if (question.check == "boxed") {
    return [wanted = *final_result(question.answer)](std::string_view text) {
      const auto result = final_result(text);
      return one_step(result && same_result(*result, wanted));
    };
  }
  if (question.check == "choice") {
    return [letter = question.answer[0], n = question.n_choices](std::string_view text) {
      return one_step(chosen_letter(text, n) == letter);
    };
  }
  return [answer = question.answer](std::string_view text) {
    return one_step(bare(text) == bare(answer));
  };
}

Result<Item> make_item(const Plan& plan, const Engine& engine, const Question& question) {
  Item item;
  LH_ASSIGN_OR_RETURN(item.context, prompt_tokens(plan, engine, question.prompt));
  const bool space =
      question.prompt.empty() || question.prompt.back() == ' ' || question.prompt.back() == '\n';
  LH_ASSIGN_OR_RETURN(item.target,
                      engine.tokenize((space ? "" : " ") + question.answer, false, false));
  const bool worked = question.check == "boxed";
  item.max_tokens = plan.max_tokens > 0 ? plan.max_tokens
                    : worked            ? kWorkedTokens
                                        : item.target.size() + kSpareAnswerTokens;
  if (!worked && !plan.chat && question.answer.find('\n') == std::string::npos) item.stop = {"\n"};
  item.score = checker(question);
  return item;
}

}  // namespace

Status add_question_items(const Plan& plan, const Engine& engine, const std::string& path,
                          std::vector<Item>& items) {
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  size_t n_line = 0;
  size_t n_items = 0;
  for (size_t at = 0; at < text.size() && n_items < plan.n_items;) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++n_line;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto question = read_question(plan, line);
    if (!question) return bad_input("{}:{}: {}", path, n_line, question.error().message);
    auto item = make_item(plan, engine, *question);
    if (!item) return bad_input("{}:{}: {}", path, n_line, item.error().message);
    item->task = std::filesystem::path(path).filename().string();
    item->index = n_items++;
    items.push_back(std::move(*item));
  }
  if (n_items == 0) return bad_input("{}: expected a question in each line, found none", path);
  return {};
}

}  // namespace longhaul::eval
