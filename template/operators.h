// The operators of expressions, as Python has them.
#pragma once

#include <string_view>

#include "template/limits.h"
#include "template/value.h"

namespace longhaul::jinja {

// + - * / // % **. Error: types that the operator does not take, a division by zero, a whole number
// beyond 64 bits.
Result<Value> binary(Budget& budget, std::string_view name, const Value& left, const Value& right);
Result<Value> negate(const Value& value);

Result<bool> equal(Budget& budget, const Value& left, const Value& right);
// Below 0, 0 or above: the order of < and of sorting. Error: values that have none.
Result<int> order(Budget& budget, const Value& left, const Value& right);
// == != < <= > >= in, not in.
Result<bool> compare(Budget& budget, std::string_view name, const Value& left, const Value& right);
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

// container[key] as it is written; undefined where there is none. `name` is what to call it then.
Result<Value> item_at(Budget& budget, const Value& container, const Value& key);
// value[start:stop:step]; those that are none are left out.
Result<Value> slice(Budget& budget, const Value& value, const Value& start, const Value& stop,
                    const Value& step);

// What a loop over a value gives: the items of a list, the characters of a text, the keys of a dict,
// nothing of what is undefined. An iterator is spent by it. Error: no such thing.
Result<std::vector<Value>> items_of(Budget& budget, const Value& value);
// Characters of a text, items of a list or dict. Error: what has no length.
Result<size_t> length_of(Budget& budget, const Value& value);

// An error that names what is undefined.
tl::unexpected<Error> undefined_error(const Value& value);

}  // namespace longhaul::jinja
