// Functions that every template can call.
#include <ctime>

#include "template/builtin.h"
#include "template/operators.h"
#include "template/print.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kMaxRange = 100'000;  // as in the sandbox in which templates run elsewhere

Result<Value> make_range(CallSite& call) {
  int64_t numbers[3] = {0, 0, 1};  // start, stop, step
  for (size_t i = 0; i < 3; ++i) {
    LH_ASSIGN_OR_RETURN(numbers[i], call.integer(i, numbers[i]));
  }
  if (!call.has(1)) numbers[1] = std::exchange(numbers[0], 0);
  const auto [start, stop, step] = numbers;
  if (step == 0) return bad_input("range: expected a step other than 0");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (items.size() == kMaxRange)
      return bad_input("range: expected at most {} numbers", kMaxRange);
    LH_RETURN_IF_ERROR(call.budget().memory(sizeof(Value)));
    items.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::list(std::move(items), ListKind::kRange);
}

// The entries of a dict, or of a list of pairs, and behind them the arguments with names.
Result<std::vector<Entry>> entries_of(CallSite& call) {
  std::vector<Entry> entries;
  if (call.rest.positional.size() > 1)
    return bad_input("expected at most one argument, found {}", call.rest.positional.size());
  if (!call.rest.positional.empty()) {
    const Value& from = call.rest.positional[0];
    if (const Dict* dict = from.as_dict()) {
      LH_RETURN_IF_ERROR(call.budget().memory(dict->entries.size() * sizeof(Entry)));
      entries = dict->entries;
    } else {
      LH_ASSIGN_OR_RETURN(const std::vector<Value> pairs, items_of(call.budget(), from));
      for (const Value& pair : pairs) {
        LH_ASSIGN_OR_RETURN(const std::vector<Value> two, items_of(call.budget(), pair));
        if (two.size() != 2) return bad_input("expected pairs, found {} values", two.size());
        entries.emplace_back(two[0], two[1]);
      }
    }
  }
  for (const auto& [name, value] : call.rest.named) entries.emplace_back(Value::own(name), value);
  return entries;
}

Result<Value> make_dict(CallSite& call) {
  LH_ASSIGN_OR_RETURN(std::vector<Entry> entries, entries_of(call));
  return Value::dict(std::move(entries));
}

Result<Value> make_namespace(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const std::vector<Entry> entries, entries_of(call));
  LH_ASSIGN_OR_RETURN(Namespace * made, call.rendering.make<Namespace>());
  for (size_t i = 0; i < entries.size(); ++i) {
    LH_RETURN_IF_ERROR(call.budget().step(i / 8));  // names are compared one by one
    const Text* name = entries[i].first.as_text();
    if (name == nullptr)
      return bad_input("namespace: expected names, found {}", entries[i].first.type_name());
    made->set(name->bytes(), entries[i].second);
  }
  return Value::object(made);
}

Result<Value> raise_exception(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Value message, to_text(call.budget(), call[0]));
  return bad_input("the template refuses this conversation: {}", message.as_text()->bytes());
}

Result<Value> strftime_now(CallSite& call) {
  LH_ASSIGN_OR_RETURN(const Text* format, call.text(0));
  if (format->empty()) return Value::own("");
  const std::string pattern(format->bytes());
  char buffer[1024];
  const size_t n_bytes =
      std::strftime(buffer, sizeof(buffer), pattern.c_str(), &call.rendering.now());
  if (n_bytes == 0)
    return bad_input("strftime_now: expected a date of at most {} bytes", sizeof(buffer) - 1);
  Writer out = call.writer();
  LH_RETURN_IF_ERROR(out.data({buffer, n_bytes}));
  return Value::text(out.take());
}

constexpr Builtin kFunctions[] = {
    {"dict", "*", make_dict},
    {"namespace", "*", make_namespace},
    {"raise_exception", "message", raise_exception},
    {"range", "start stop? step?", make_range},
    {"strftime_now", "format", strftime_now},
};

}  // namespace

std::span<const Builtin> global_functions() { return kFunctions; }

}  // namespace longhaul::jinja
