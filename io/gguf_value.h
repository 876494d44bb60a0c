// The metadata values of a GGUF file: thirteen types, kept with the type the file gave them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace longhaul {

// The numbers are the ones in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr uint32_t kNumGgufTypes = 13;

// "u8", "string", ...
std::string_view gguf_type_name(GgufType type);
// Bytes of one value in the file; 0 for strings and arrays, whose length is in the file.
size_t gguf_type_bytes(GgufType type);
bool is_signed_integer(GgufType type);
bool is_unsigned_integer(GgufType type);
bool is_float(GgufType type);

// An array of one element type, never of arrays. Scalars are widened: unsigned integers and
// booleans to u64, signed integers to i64, floats to f64; strings point into the file. The
// conversions give nullopt if the elements are of another kind or if one of them does not fit.
struct GgufArray {
  using Items = std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string_view>>;
  GgufType element_type = GgufType::kU32;
  Items items;

  size_t size() const;
  std::optional<std::vector<uint64_t>> to_u64() const;
  std::optional<std::vector<int32_t>> to_i32() const;
  std::optional<std::vector<float>> to_f32() const;
  std::optional<std::vector<bool>> to_bool() const;
  const std::vector<std::string_view>* strings() const;
};

// One value. The conversions accept every integer width and give nullopt if the value is of another
// kind or does not fit the type asked for.
class GgufValue {
 public:
  using Data = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

  GgufValue(GgufType type, Data data) : type_(type), data_(std::move(data)) {}

  // The type in the file.
  GgufType type() const { return type_; }
  std::optional<uint64_t> to_u64() const;
  std::optional<int64_t> to_i64() const;
  // Floats, and integers that a double holds exactly.
  std::optional<double> to_f64() const;
  std::optional<bool> to_bool() const;
  std::optional<std::string_view> to_string() const;
  // nullptr if the value is not an array.
  const GgufArray* array() const { return std::get_if<GgufArray>(&data_); }

 private:
  GgufType type_;
  Data data_;
};

// The value in one line for messages and `inspect`: at most `max_items` of an array and `max_chars`
// of a string, with the rest counted: `i32 -3`, `string "qwen2"`, `array of 151936 string ["!",
// "\"", ... 151930 more]`.
std::string describe(const GgufValue& value, size_t max_items = 6, size_t max_chars = 60);
// `text` in double quotes; what cannot be printed is escaped, what is over `max_chars` is counted.
std::string quoted(std::string_view text, size_t max_chars = 60);

}  // namespace longhaul
