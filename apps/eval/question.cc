#include "apps/eval/question.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "tasks/answers.h"

namespace longhaul::eval {
namespace {

using Json = nlohmann::ordered_json;

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
  // Choices may differ by case alone, so that it is disregarded only where none is the very text.
  for (size_t i = 0; i < choices.size(); ++i) {
    if (same_text(answer, letter(i)) || same_text(answer, choices[i])) return letter(i);
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

TaskScore one_step(bool right) { return {1, right ? 1 : 0, right}; }

}  // namespace

std::string_view Question::gap() const {
  return prompt.empty() || prompt.back() == ' ' || prompt.back() == '\n' ? "" : " ";
}

std::function<TaskScore(std::string_view)> Question::score() const {
  if (check == "boxed") {
    return [wanted = *final_result(answer)](std::string_view text) {
      const auto result = final_result(text);
      return one_step(result && same_result(*result, wanted));
    };
  }
  if (check == "choice") {
    return [letter = answer[0], n = n_choices](std::string_view text) {
      return one_step(chosen_letter(text, n) == letter);
    };
  }
  return [wanted = answer](std::string_view text) { return one_step(same_text(text, wanted)); };
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

}  // namespace longhaul::eval
