#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/answer.h"
#include "apps/eval/item.h"
#include "base/result.h"
#include "tasks/task_kind.h"

namespace longhaul::eval {
namespace {

// A task that fills less of the length than this is not of that length.
constexpr double kLeastFill = 0.85;

// Makes the tasks of one kind as long as asked for.
class TaskFitter {
 public:
  TaskFitter(const Plan& plan, const Engine& engine, const TaskKind& kind)
      : plan_(plan), engine_(engine), kind_(kind) {}

  // The item of that index: the largest whose prompt and answer have at most `length` tokens. The
  // size found for one is the first guess for the next.
  Result<Item> fit(size_t length, size_t index) {
    TaskSpec spec;
    spec.seed = plan_.seed + index;
    spec.n_queries = kind_.has_queries ? plan_.n_queries : 1;
    if (kind_.has_depth) spec.depth = plan_.depths[index % plan_.depths.size()];
    if (guess_ == 0) {
      LH_ASSIGN_OR_RETURN(guess_, largest(spec, length));
    }
    spec.n_units = guess_;
    while (true) {
      LH_ASSIGN_OR_RETURN(Item item, make(spec));
      const size_t n_tokens = item.context.size() + item.target.size();
      if (n_tokens <= length) {
        if (static_cast<double>(n_tokens) < kLeastFill * static_cast<double>(length)) {
          return bad_input(
              "task {}: its most ({} units) are {} tokens; a length of {} is beyond it", kind_.name,
              kind_.most_units, n_tokens, length);
        }
        item.length = length;
        item.index = index;
        item.depth = kind_.has_depth ? spec.depth : -1;
        return item;
      }
      if (spec.n_units <= least()) return too_short(length, n_tokens);
      spec.n_units = std::max(least(), spec.n_units - 1 - spec.n_units / 200);
    }
  }

 private:
  size_t least() const { return std::max(kind_.least_units, plan_.n_queries); }

  tl::unexpected<Error> too_short(size_t length, size_t n_tokens) const {
    return bad_input("task {}: its smallest has {} tokens, found a length of {}", kind_.name,
                     n_tokens, length);
  }

  Result<size_t> tokens_of(TaskSpec spec, size_t n_units) {
    spec.n_units = n_units;
    LH_ASSIGN_OR_RETURN(const Item item, make(spec));
    return item.context.size() + item.target.size();
  }

  // The most units that fit, by doubling and halving.
  Result<size_t> largest(const TaskSpec& spec, size_t length) {
    size_t fits = least();
    LH_ASSIGN_OR_RETURN(const size_t n_least, tokens_of(spec, fits));
    if (n_least > length) return too_short(length, n_least);
    size_t beyond = kind_.most_units + 1;
    while (fits + 1 < beyond) {
      const size_t middle =
          beyond > 2 * fits + 2 ? std::min(2 * fits + 1, beyond - 1) : (fits + beyond) / 2;
      LH_ASSIGN_OR_RETURN(const size_t n_tokens, tokens_of(spec, middle));
      (n_tokens <= length ? fits : beyond) = middle;
    }
    return fits;
  }

  Result<Item> make(const TaskSpec& spec) {
    LH_ASSIGN_OR_RETURN(Task task, kind_.make(spec));
    Item item;
    item.task = kind_.name;
    item.question = task.prompt;
    item.answer = task.answer;
    LH_ASSIGN_OR_RETURN(item.context, prompt_tokens(plan_, engine_, task.prompt));
    LH_ASSIGN_OR_RETURN(item.target, engine_.tokenize(task.answer, false, false));
    item.max_tokens =
        plan_.max_tokens > 0 ? plan_.max_tokens : item.target.size() + kSpareAnswerTokens;
    if (kind_.one_line && !plan_.chat) item.stop = {"\n"};
    item.score = [&kind = kind_, task = std::move(task)](std::string_view generated) {
      return kind.score(task, generated);
    };
    return item;
  }

  const Plan& plan_;
  const Engine& engine_;
  const TaskKind& kind_;
  size_t guess_ = 0;
};

Status check_fits(const Item& item, size_t ctx_size) {
  const size_t n_answer =
      item.score ? std::max(item.target.size(), item.max_tokens) : item.target.size();
  if (item.context.size() + n_answer <= ctx_size) return {};
  return bad_input(
      "task {}, item {}: a prompt of {} tokens and up to {} more do not fit in the context of {}",
      item.task, item.index, item.context.size(), n_answer, ctx_size);
}

}  // namespace

std::vector<std::string> task_names_known() {
  std::vector<std::string> names;
  for (const TaskKind* kind : all_task_kinds()) names.emplace_back(kind->name);
  names.emplace_back(kText);
  names.emplace_back(kPerplexity);
  return names;
}

Result<std::vector<int32_t>> prompt_tokens(const Plan& plan, const Engine& engine,
                                           const std::string& prompt) {
  if (!plan.chat) return engine.tokenize(prompt, true, false);
  const ChatTurn turn{"user", prompt};
  return engine.tokenize_chat({&turn, 1});
}

Status add_task_items(const Plan& plan, const Engine& engine, const std::string& name,
                      std::vector<Item>& items) {
  const TaskKind* kind = find_task_kind(name);
  if (kind == nullptr) {
    return bad_input("--tasks: expected {}, found '{}'", fmt::join(task_names_known(), ", "), name);
  }
  for (const size_t length : plan.lengths) {
    TaskFitter fitter(plan, engine, *kind);
    for (size_t i = 0; i < plan.n_items; ++i) {
      LH_ASSIGN_OR_RETURN(Item item, fitter.fit(length, i));
      items.push_back(std::move(item));
    }
  }
  return {};
}

Result<std::vector<Item>> make_items(const Plan& plan, const Engine& engine) {
  const size_t ctx_size = engine.options().ctx_size;
  for (const size_t length : plan.lengths) {
    if (!plan.tasks.empty() && length > ctx_size) {  // questions are as long as they are
      return bad_input("--lengths: expected at most the context of {} tokens, found {}", ctx_size,
                       length);
    }
  }
  std::vector<Item> items;
  for (const std::string& name : plan.tasks) {
    if (name == kText) {
      LH_RETURN_IF_ERROR(add_text_items(plan, engine, items));
    } else if (name == kPerplexity) {
      LH_RETURN_IF_ERROR(add_perplexity_items(plan, engine, items));
    } else {
      LH_RETURN_IF_ERROR(add_task_items(plan, engine, name, items));
    }
  }
  if (plan.n_shots > 0 && plan.questions.empty()) {
    return bad_input("--shots {}: expected a file in --questions, found none", plan.n_shots);
  }
  std::set<std::string> names;  // what results go by
  for (const std::string& path : plan.questions) {
    const std::string name = std::filesystem::path(path).filename().string();
    if (!names.insert(name).second) {
      return bad_input("--questions: expected files of different names, found two named {}", name);
    }
    LH_RETURN_IF_ERROR(add_question_items(plan, engine, path, items));
  }
  for (const Item& item : items) LH_RETURN_IF_ERROR(check_fits(item, ctx_size));
  return items;
}

}  // namespace longhaul::eval
