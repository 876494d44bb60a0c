#include <nlohmann/json.hpp>

#include "template/json.h"

namespace longhaul::jinja {
namespace {

// Builds values while nlohmann's parser, which does not recurse, reads.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(Value::none()); }
  bool boolean(bool value) override { return add(Value::boolean(value)); }
  bool number_integer(int64_t value) override { return add(Value::integer(value)); }
  bool number_unsigned(uint64_t value) override {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return add(Value::integer(static_cast<int64_t>(value)));
    return fail(fmt::format("expected an integer of 64 bits, found {}", value));
  }
  bool number_float(double value, const std::string& text) override {
    // An integer too large for 64 bits comes as a float, too.
    if (text.find_first_of(".eE") == std::string::npos)
      return fail("expected an integer of 64 bits, found " + text);
    return add(Value::real(value));
  }
  bool string(std::string& value) override {
    return add(Value::text(Text::data(std::move(value))));
  }
  bool binary(nlohmann::json::binary_t&) override { return fail("expected JSON, found binary"); }
  bool start_object(size_t) override { return open(true); }
  bool start_array(size_t) override { return open(false); }
  bool key(std::string& name) override {
    open_.back().key = Value::text(Text::data(std::move(name)));
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    return fail(error.what());
  }

  Result<Value> take() && {
    if (!error_.empty()) return bad_input("{}", error_);
    return std::move(root_);
  }

 private:
  struct Open {
    bool is_object;
    Value key;  // of the next entry
    std::vector<Value> items;
    std::vector<Entry> entries;
  };

  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  bool open(bool is_object) {
    if (open_.size() == Value::kMaxNesting)
      return fail(fmt::format("expected values nested at most {} deep", Value::kMaxNesting));
    open_.push_back({is_object, {}, {}, {}});
    return true;
  }

  bool close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    auto value =
        done.is_object ? Value::dict(std::move(done.entries)) : Value::list(std::move(done.items));
    return value ? add(std::move(*value)) : fail(value.error().message);
  }

  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& parent = open_.back(); parent.is_object) {
      parent.entries.emplace_back(std::move(parent.key), std::move(value));
    } else {
      parent.items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Value root_;
  std::string error_;
};

}  // namespace

Result<Value> read_json(std::string_view text) {
  Builder builder;
  nlohmann::json::sax_parse(text, &builder);
  return std::move(builder).take();
}

}  // namespace longhaul::jinja
