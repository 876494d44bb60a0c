#include "trainer/state_dict.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "trainer/checkpoint.h"

namespace longhaul::trainer {
namespace {

using caffe2::serialize::PyTorchStreamReader;
using torch::Tensor;

// A Python value, as far as state dicts have them. Shared: the pickle refers to values again.
struct Value {
  enum Kind { kNone, kNumber, kText, kTuple, kDict, kGlobal, kTensor };
  Kind kind = kNone;
  int64_t number = 0;
  std::string text;                           // of a text; "module name" of a global
  std::vector<std::shared_ptr<Value>> items;  // of a tuple; key, value, ... of a dictionary
  Tensor tensor;
};
using Ref = std::shared_ptr<Value>;

Ref make(Value::Kind kind, int64_t number = 0, std::string text = {}) {
  return std::make_shared<Value>(Value{kind, number, std::move(text), {}, {}});
}

const Ref& item(const Value& tuple, size_t i, Value::Kind kind) {
  TORCH_CHECK(tuple.kind == Value::kTuple && i < tuple.items.size() && tuple.items[i]->kind == kind,
              "the pickle holds a tensor that is not described as PyTorch does");
  return tuple.items[i];
}

std::vector<int64_t> numbers(const Value& tuple) {
  std::vector<int64_t> result;
  for (size_t i = 0; i < tuple.items.size(); ++i) {
    result.push_back(item(tuple, i, Value::kNumber)->number);
  }
  return result;
}

at::ScalarType storage_type(const std::string& global) {
  if (global == "torch FloatStorage") return at::kFloat;
  if (global == "torch HalfStorage") return at::kHalf;
  if (global == "torch BFloat16Storage") return at::kBFloat16;
  if (global == "torch DoubleStorage") return at::kDouble;
  TORCH_CHECK(false, "expected tensors of floating-point numbers, found ", global);
}

// The machine that runs a pickle's opcodes (Python's pickletools.py describes them), protocol 2.
// Faults leave as exceptions, for guarded().
class Unpickler {
 public:
  Unpickler(PyTorchStreamReader& archive, std::string pickle)
      : archive_(archive), pickle_(std::move(pickle)) {}

  Ref run() {
    while (true) {
      const char opcode = byte();
      if (opcode == '.') return pop();
      step(opcode);
    }
  }

 private:
  template <class T>
  T read() {
    T value;
    TORCH_CHECK(sizeof(T) <= pickle_.size() - at_, "the pickle ends too early");
    std::memcpy(&value, pickle_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  char byte() { return read<char>(); }

  std::string bytes(size_t n) {
    TORCH_CHECK(n <= pickle_.size() - at_, "the pickle ends too early");
    at_ += n;
    return pickle_.substr(at_ - n, n);
  }

  std::string line() {
    const size_t end = pickle_.find('\n', at_);
    TORCH_CHECK(end != std::string::npos, "the pickle ends too early");
    const std::string text = bytes(end - at_);
    ++at_;
    return text;
  }

  void push(Ref value) { stack_.push_back(std::move(value)); }

  Ref pop() {
    TORCH_CHECK(!stack_.empty(), "the pickle takes more values than it has");
    Ref value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }

  // The values above the last mark.
  std::vector<Ref> pop_to_mark() {
    TORCH_CHECK(!marks_.empty() && marks_.back() <= stack_.size(), "the pickle lacks a mark");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Ref> values(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return values;
  }

  void push_tuple(std::vector<Ref> items) {
    push(make(Value::kTuple));
    stack_.back()->items = std::move(items);
  }

  void push_tuple_of_last(size_t n) {
    std::vector<Ref> items(n);
    for (size_t i = n; i > 0; --i) items[i - 1] = pop();
    push_tuple(std::move(items));
  }

  void add_to_dict(const std::vector<Ref>& entries) {
    TORCH_CHECK(!stack_.empty() && stack_.back()->kind == Value::kDict && entries.size() % 2 == 0,
                "the pickle adds to something that is no dictionary");
    auto& items = stack_.back()->items;
    items.insert(items.end(), entries.begin(), entries.end());
  }

  void step(char opcode);
  void call();
  Tensor rebuild(const Value& arguments);

  PyTorchStreamReader& archive_;
  const std::string pickle_;
  size_t at_ = 0;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Ref> memo_;
};

void Unpickler::step(char opcode) {
  const auto remember = [&](uint32_t key) { push(memo_[key] = pop()); };
  const auto recall = [&](uint32_t key) {
    TORCH_CHECK(memo_.contains(key), "the pickle refers to a value it does not have");
    push(memo_[key]);
  };
  switch (opcode) {
    case '\x80':  // PROTO
      TORCH_CHECK(byte() == 2, "expected a pickle of protocol 2, which torch.save writes");
      return;
    case '}':  // EMPTY_DICT
      return push(make(Value::kDict));
    case ')':  // EMPTY_TUPLE
      return push_tuple({});
    case '(':  // MARK
      marks_.push_back(stack_.size());
      return;
    case 't':  // TUPLE
      return push_tuple(pop_to_mark());
    case '\x85':  // TUPLE1 to TUPLE3
    case '\x86':
    case '\x87':
      return push_tuple_of_last(static_cast<size_t>(static_cast<unsigned char>(opcode) - 0x84));
    case 'N':  // NONE
      return push(make(Value::kNone));
    case '\x88':  // NEWTRUE, NEWFALSE
    case '\x89':
      return push(make(Value::kNumber, opcode == '\x88'));
    case 'K':  // BININT1, BININT2, BININT
      return push(make(Value::kNumber, read<uint8_t>()));
    case 'M':
      return push(make(Value::kNumber, read<uint16_t>()));
    case 'J':
      return push(make(Value::kNumber, read<int32_t>()));
    case '\x8a': {  // LONG1
      int64_t number = 0;
      const std::string digits = bytes(read<uint8_t>());
      TORCH_CHECK(digits.size() <= sizeof number, "the pickle holds a number above 64 bits");
      for (size_t i = 0; i < digits.size(); ++i) {
        const auto digit = static_cast<unsigned char>(digits[i]);
        number |= static_cast<int64_t>(uint64_t{digit} << 8 * i);
      }
      return push(make(Value::kNumber, number));
    }
    case 'X':  // BINUNICODE
      return push(make(Value::kText, 0, bytes(read<uint32_t>())));
    case 'c': {  // GLOBAL
      const std::string module = line();
      return push(make(Value::kGlobal, 0, module + " " + line()));
    }
    case 'q':  // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
      return remember(read<uint8_t>());
    case 'r':
      return remember(read<uint32_t>());
    case 'h':
      return recall(read<uint8_t>());
    case 'j':
      return recall(read<uint32_t>());
    case 'Q':  // BINPERSID: a storage's description, kept as it is until a tensor asks for it
      return;
    case 'R':  // REDUCE
      return call();
    case 's': {  // SETITEM
      const Ref value = pop(), key = pop();
      return add_to_dict({key, value});
    }
    case 'u':  // SETITEMS
      return add_to_dict(pop_to_mark());
    case 'b':  // BUILD: attributes (a state dict's _metadata), of no use here
      pop();
      return;
    default:
      TORCH_CHECK(false, "expected a state dict of tensors, found pickle opcode ",
                  static_cast<int>(static_cast<unsigned char>(opcode)));
  }
}

void Unpickler::call() {
  const Ref arguments = pop(), function = pop();
  TORCH_CHECK(function->kind == Value::kGlobal && arguments->kind == Value::kTuple,
              "the pickle calls something that is no function");
  if (function->text == "collections OrderedDict" && arguments->items.empty()) {
    return push(make(Value::kDict));
  }
  if (function->text == "torch._utils _rebuild_parameter") {
    return push(item(*arguments, 0, Value::kTensor));
  }
  if (function->text == "torch.jit._pickle restore_type_tag") {  // what LibTorch saves
    return push(item(*arguments, 0, Value::kDict));
  }
  TORCH_CHECK(function->text == "torch._utils _rebuild_tensor_v2",
              "expected a state dict of tensors, found a call of ", function->text);
  push(make(Value::kTensor));
  stack_.back()->tensor = rebuild(*arguments);
}

// From (storage, offset, size, stride, ...), storage being ("storage", type, key, device, count).
Tensor Unpickler::rebuild(const Value& arguments) {
  const Value& storage = *item(arguments, 0, Value::kTuple);
  const int64_t offset = item(arguments, 1, Value::kNumber)->number;
  const std::vector<int64_t> sizes = numbers(*item(arguments, 2, Value::kTuple));
  const std::vector<int64_t> strides = numbers(*item(arguments, 3, Value::kTuple));
  const std::string key = item(storage, 2, Value::kText)->text;
  const int64_t count = item(storage, 4, Value::kNumber)->number;
  const at::ScalarType type = storage_type(item(storage, 1, Value::kGlobal)->text);
  const auto [data, n_bytes] = archive_.getRecord("data/" + key);
  TORCH_CHECK(count >= 0 && static_cast<uint64_t>(count) <= n_bytes / at::elementSize(type),
              "storage ", key, ": expected ", count, " values of ", type, ", found ", n_bytes,
              " bytes");
  // as_strided() refuses what reaches outside.
  const Tensor values = at::from_blob(data.get(), {count}, type);
  return values.as_strided(sizes, strides, offset).clone();
}

}  // namespace

Result<std::map<std::string, Tensor>> read_state_dict(const std::string& path) {
  std::map<std::string, Tensor> tensors;
  LH_RETURN_IF_ERROR(guarded(path, [&] {
    PyTorchStreamReader archive(path);
    if (archive.hasRecord("byteorder")) {
      const auto [order, n] = archive.getRecord("byteorder");
      TORCH_CHECK(std::string(static_cast<const char*>(order.get()), n) == "little",
                  "expected little-endian values");
    }
    const auto [pickle, n_bytes] = archive.getRecord("data.pkl");
    const Ref dict =
        Unpickler(archive, std::string(static_cast<const char*>(pickle.get()), n_bytes)).run();
    TORCH_CHECK(dict->kind == Value::kDict, "expected a dictionary of tensors");
    for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
      const Value& name = *dict->items[i];
      const Value& value = *dict->items[i + 1];
      TORCH_CHECK(name.kind == Value::kText && value.kind == Value::kTensor,
                  "expected names and tensors only, found something else at ", name.text);
      tensors.emplace(name.text, value.tensor);
    }
  }));
  return tensors;
}

}  // namespace longhaul::trainer
