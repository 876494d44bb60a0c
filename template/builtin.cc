#include "template/builtin.h"

#include <algorithm>

namespace longhaul::jinja {
namespace {

struct Parameters {
  std::vector<std::string_view> names;
  size_t n_required = 0;
  bool takes_more = false;
};

Parameters read_parameters(std::string_view text) {
  Parameters parameters;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    std::string_view name = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (name == "*") {
      parameters.takes_more = true;
    } else if (name.ends_with('?')) {
      parameters.names.push_back(name.substr(0, name.size() - 1));
    } else {
      parameters.names.push_back(name);
      parameters.n_required = parameters.names.size();
    }
  }
  return parameters;
}

Status place_arguments(const Parameters& parameters, std::string_view name, Arguments arguments,
                       CallSite& call) {
  const auto& names = parameters.names;
  call.slots.resize(names.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < names.size()) {
      call.slots[i] = std::move(arguments.positional[i]);
    } else if (parameters.takes_more) {
      call.rest.positional.push_back(std::move(arguments.positional[i]));
    } else {
      return bad_input("{}: expected at most {} arguments, found {}", name, names.size(),
                       arguments.positional.size());
    }
  }
  for (auto& [key, value] : arguments.named) {
    const auto at = static_cast<size_t>(std::find(names.begin(), names.end(), key) - names.begin());
    if (at < names.size() && !call.slots[at]) {
      call.slots[at] = std::move(value);
    } else if (parameters.takes_more) {
      call.rest.named.emplace_back(key, std::move(value));
    } else {
      return bad_input("{}: unexpected argument '{}'", name, key);
    }
  }
  for (size_t i = 0; i < parameters.n_required; ++i) {
    if (!call.slots[i])
      return bad_input("{}: expected an argument '{}', found none", name, names[i]);
  }
  return {};
}

}  // namespace

Result<const Text*> CallSite::text(size_t i) const {
  const Text* found = (*this)[i].as_text();
  if (found == nullptr) return bad_input("expected a text, found {}", (*this)[i].type_name());
  return found;
}

Result<int64_t> CallSite::integer(size_t i, int64_t other) const {
  if (!has(i)) return other;
  if (const auto number = (*this)[i].as_integer()) return *number;
  return bad_input("expected a whole number, found {}", (*this)[i].type_name());
}

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const Builtin& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

Result<Value> run_builtin(Rendering& rendering, const Builtin& builtin, Value self,
                          Arguments arguments) {
  if (builtin.run == nullptr)
    return make_error(ErrorCode::kUnsupported, "{}() is not supported", builtin.name);
  CallSite call{rendering, std::move(self), {}, {}};
  LH_RETURN_IF_ERROR(place_arguments(read_parameters(builtin.parameters), builtin.name,
                                     std::move(arguments), call));
  return builtin.run(call);
}

const Builtin* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), list_filters(), select_filters(), value_filters()}) {
    if (const Builtin* found = find_builtin(table, name)) return found;
  }
  return nullptr;
}

const Builtin* find_test(std::string_view name) { return find_builtin(tests(), name); }

const Builtin* find_method(const Value& self, std::string_view name) {
  if (self.as_text() != nullptr) return find_builtin(text_methods(), name);
  if (self.as_dict() != nullptr) return find_builtin(dict_methods(), name);
  if (self.as_list() != nullptr) return find_builtin(list_methods(), name);
  return nullptr;
}

}  // namespace longhaul::jinja
