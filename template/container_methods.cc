// Methods of lists and dicts. Those that would change them are known and refused: values do not
// change, as in the sandbox in which templates run elsewhere.
#include "template/builtin.h"
#include "template/operators.h"

namespace longhaul::jinja {
namespace {

const Dict& self_dict(const CallSite& call) { return *call.self.as_dict(); }
const List& self_list(const CallSite& call) { return *call.self.as_list(); }

Result<Value> dict_get(CallSite& call) {
  const Value* found = self_dict(call).find(call[0]);
  return found != nullptr ? *found : call.value_or(1, Value::none());
}

enum class Face { kKeys, kValues, kItems };

template <Face face>
Result<Value> dict_view(CallSite& call) {
  const Dict& dict = self_dict(call);
  LH_RETURN_IF_ERROR(call.budget().memory(dict.entries.size() * (sizeof(Value) + sizeof(List))));
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    if (face == Face::kItems) {
      LH_ASSIGN_OR_RETURN(Value pair, Value::list({key, value}, ListKind::kTuple));
      items.push_back(std::move(pair));
    } else {
      items.push_back(face == Face::kKeys ? key : value);
    }
  }
  return Value::list(std::move(items), ListKind::kView);
}

Result<Value> same_value(CallSite& call) { return call.self; }

Result<Value> list_index(CallSite& call) {
  const std::vector<Value>& items = self_list(call).items;
  for (size_t i = 0; i < items.size(); ++i) {
    LH_ASSIGN_OR_RETURN(const bool same, equal(call.budget(), items[i], call[0]));
    if (same) return Value::integer(static_cast<int64_t>(i));
  }
  return bad_input("index: the value is not in the list");
}

Result<Value> list_count(CallSite& call) {
  int64_t n = 0;
  for (const Value& item : self_list(call).items) {
    LH_ASSIGN_OR_RETURN(const bool same, equal(call.budget(), item, call[0]));
    n += same ? 1 : 0;
  }
  return Value::integer(n);
}

constexpr Builtin kDictMethods[] = {
    {"copy", "", same_value},
    {"get", "key default?", dict_get},
    {"items", "", dict_view<Face::kItems>},
    {"keys", "", dict_view<Face::kKeys>},
    {"values", "", dict_view<Face::kValues>},
    {"clear", "", nullptr},
    {"fromkeys", "", nullptr},
    {"pop", "", nullptr},
    {"popitem", "", nullptr},
    {"setdefault", "", nullptr},
    {"update", "", nullptr},
};

constexpr Builtin kListMethods[] = {
    {"copy", "", same_value}, {"count", "value", list_count}, {"index", "value", list_index},
    {"append", "", nullptr},  {"clear", "", nullptr},         {"extend", "", nullptr},
    {"insert", "", nullptr},  {"pop", "", nullptr},           {"remove", "", nullptr},
    {"reverse", "", nullptr}, {"sort", "", nullptr},
};

}  // namespace

std::span<const Builtin> dict_methods() { return kDictMethods; }
std::span<const Builtin> list_methods() { return kListMethods; }

}  // namespace longhaul::jinja
