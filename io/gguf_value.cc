#include "io/gguf_value.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/check.h"

namespace longhaul {
namespace {

struct TypeRow {
  std::string_view name;
  size_t n_bytes;
};
constexpr std::array<TypeRow, kNumGgufTypes> kRows = {{{"u8", 1},
                                                       {"i8", 1},
                                                       {"u16", 2},
                                                       {"i16", 2},
                                                       {"u32", 4},
                                                       {"i32", 4},
                                                       {"f32", 4},
                                                       {"bool", 1},
                                                       {"string", 0},
                                                       {"array", 0},
                                                       {"u64", 8},
                                                       {"i64", 8},
                                                       {"f64", 8}}};

const TypeRow& row(GgufType type) {
  LH_CHECK(static_cast<uint32_t>(type) < kNumGgufTypes);
  return kRows[static_cast<size_t>(type)];
}

// Every integer of at most this magnitude is a double (a float, for 24 bits).
template <class Float>
constexpr int64_t kExactLimit = int64_t{1} << std::numeric_limits<Float>::digits;

// A number as type To, or nullopt if it does not fit. Floats never become integers.
template <class To, class From>
std::optional<To> convert(From value) {
  if constexpr (std::is_integral_v<To>) {
    if constexpr (std::is_integral_v<From>) {
      if (std::in_range<To>(value)) return static_cast<To>(value);
    }
    return std::nullopt;
  } else if constexpr (std::is_integral_v<From>) {
    if (std::cmp_greater(value, kExactLimit<To>) || std::cmp_less(value, -kExactLimit<To>)) {
      return std::nullopt;
    }
    return static_cast<To>(value);
  } else {
    if (std::isfinite(value) && std::abs(value) > std::numeric_limits<To>::max())
      return std::nullopt;
    return static_cast<To>(value);
  }
}

template <class To>
std::optional<To> convert_scalar(const GgufValue::Data& data) {
  return std::visit(
      [](const auto& value) -> std::optional<To> {
        using From = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_arithmetic_v<From> && !std::is_same_v<From, bool>) {
          return convert<To>(value);
        } else {
          return std::nullopt;
        }
      },
      data);
}

template <class To>
std::optional<std::vector<To>> convert_items(const GgufArray& array) {
  if (array.element_type == GgufType::kBool) return std::nullopt;
  return std::visit(
      [](const auto& items) -> std::optional<std::vector<To>> {
        using From = typename std::remove_cvref_t<decltype(items)>::value_type;
        if constexpr (std::is_arithmetic_v<From>) {
          std::vector<To> out;
          out.reserve(items.size());
          for (const From item : items) {
            const std::optional<To> converted = convert<To>(item);
            if (!converted) return std::nullopt;
            out.push_back(*converted);
          }
          return out;
        } else {
          return std::nullopt;
        }
      },
      array.items);
}

// The shortest digits that give the number back in its own type: 1e-06 for an f32, not its tail as
// a double.
std::string float_text(GgufType type, double value) {
  return type == GgufType::kF32 ? fmt::format("{}", static_cast<float>(value))
                                : fmt::format("{}", value);
}

std::string describe_array(const GgufArray& array, size_t max_items, size_t max_chars) {
  std::string text =
      fmt::format("array of {} {} [", array.size(), gguf_type_name(array.element_type));
  std::visit(
      [&](const auto& items) {
        for (size_t i = 0; i < items.size() && i < max_items; ++i) {
          if (i > 0) text += ", ";
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(items[i])>, std::string_view>) {
            text += quoted(items[i], max_chars);
          } else if (array.element_type == GgufType::kBool) {
            text += items[i] != 0 ? "true" : "false";
          } else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(items[i])>, double>) {
            text += float_text(array.element_type, items[i]);
          } else {
            text += fmt::format("{}", items[i]);
          }
        }
      },
      array.items);
  if (array.size() > max_items) text += fmt::format(", ... {} more", array.size() - max_items);
  return text + "]";
}

}  // namespace

std::string_view gguf_type_name(GgufType type) { return row(type).name; }
size_t gguf_type_bytes(GgufType type) { return row(type).n_bytes; }

bool is_signed_integer(GgufType type) {
  return type == GgufType::kI8 || type == GgufType::kI16 || type == GgufType::kI32 ||
         type == GgufType::kI64;
}
bool is_unsigned_integer(GgufType type) {
  return type == GgufType::kU8 || type == GgufType::kU16 || type == GgufType::kU32 ||
         type == GgufType::kU64;
}
bool is_float(GgufType type) { return type == GgufType::kF32 || type == GgufType::kF64; }

size_t GgufArray::size() const {
  return std::visit([](const auto& all) { return all.size(); }, items);
}
std::optional<std::vector<uint64_t>> GgufArray::to_u64() const {
  return convert_items<uint64_t>(*this);
}
std::optional<std::vector<int32_t>> GgufArray::to_i32() const {
  return convert_items<int32_t>(*this);
}
std::optional<std::vector<float>> GgufArray::to_f32() const { return convert_items<float>(*this); }

std::optional<std::vector<bool>> GgufArray::to_bool() const {
  if (element_type != GgufType::kBool) return std::nullopt;
  const auto& all = std::get<std::vector<uint64_t>>(items);
  return std::vector<bool>(all.begin(), all.end());
}

const std::vector<std::string_view>* GgufArray::strings() const {
  return std::get_if<std::vector<std::string_view>>(&items);
}

std::optional<uint64_t> GgufValue::to_u64() const { return convert_scalar<uint64_t>(data_); }
std::optional<int64_t> GgufValue::to_i64() const { return convert_scalar<int64_t>(data_); }
std::optional<double> GgufValue::to_f64() const { return convert_scalar<double>(data_); }

std::optional<bool> GgufValue::to_bool() const {
  const bool* value = std::get_if<bool>(&data_);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

std::optional<std::string_view> GgufValue::to_string() const {
  const std::string_view* value = std::get_if<std::string_view>(&data_);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

std::string describe(const GgufValue& value, size_t max_items, size_t max_chars) {
  if (const GgufArray* array = value.array()) return describe_array(*array, max_items, max_chars);
  const std::string_view type = gguf_type_name(value.type());
  if (const auto text = value.to_string())
    return fmt::format("{} {}", type, quoted(*text, max_chars));
  if (const auto truth = value.to_bool()) return fmt::format("{} {}", type, *truth);
  if (const auto natural = value.to_u64()) return fmt::format("{} {}", type, *natural);
  if (const auto integer = value.to_i64()) return fmt::format("{} {}", type, *integer);
  return fmt::format("{} {}", type, float_text(value.type(), value.to_f64().value()));
}

std::string quoted(std::string_view text, size_t max_chars) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size() && i < max_chars; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += text[i];  // bytes of UTF-8 pass through
    }
  }
  out += '"';
  if (text.size() > max_chars) out += fmt::format(" and {} more bytes", text.size() - max_chars);
  return out;
}

}  // namespace longhaul
