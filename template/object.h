// What has an identity: namespaces, macros, loops and functions. A rendering owns all of its objects,
// so that they may refer to each other.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template/value.h"

namespace longhaul::jinja {

class Rendering;

// What a call is given.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  // Undefined, by that name, where there is no such attribute.
  virtual Result<Value> attribute(Rendering& rendering, std::string_view name);
  virtual bool is_callable() const { return false; }
  virtual Result<Value> call(Rendering& rendering, Arguments arguments);
};

class Namespace : public Object {
 public:
  std::string_view type_name() const override { return "Namespace"; }
  Result<Value> attribute(Rendering& rendering, std::string_view name) override;
  void set(std::string_view name, Value value);

 private:
  std::vector<std::pair<std::string, Value>> values_;
};

// The variable `loop`.
class Loop : public Object {
 public:
  explicit Loop(std::vector<Value> items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "LoopContext"; }
  Result<Value> attribute(Rendering& rendering, std::string_view name) override;

  bool at_end() const { return index_ == items_.size(); }
  void advance() { ++index_; }
  const Value& item() const { return items_[index_]; }
  size_t index() const { return index_; }
  // Whether these differ from what the last call was given.
  Result<bool> changed(Rendering& rendering, std::vector<Value> values);

 private:
  std::vector<Value> items_;
  size_t index_ = 0;
  std::vector<Value> last_;
  bool has_last_ = false;
};

}  // namespace longhaul::jinja
