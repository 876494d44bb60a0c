#include "server/json_fields.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

using Json = nlohmann::json;

std::string refusal(const std::string& text, const FieldReaders& readers,
                    UnknownFields unknown = UnknownFields::kIgnored) {
  const auto json = parse_json(text);
  if (!json) return json.error().message;
  const FieldStatus status = read_fields(*json, readers, unknown);
  return status ? "read" : status.error().as_error().message;
}

TEST(JsonFields, NullAndUnknownFieldsAreAbsent) {
  size_t n = 7;
  EXPECT_EQ(refusal(R"({"n": null, "other": [1]})", {{"n", count(n)}}), "read");
  EXPECT_EQ(n, 7U);
  EXPECT_EQ(refusal(R"({"n": 9})", {{"n", count(n)}}), "read");
  EXPECT_EQ(n, 9U);
  EXPECT_EQ(refusal(R"({"m": 9})", {{"n", count(n)}}, UnknownFields::kRefused),
            "m: expected one of the fields n");
}

TEST(JsonFields, RefusalsNameTheFieldTheExpectedAndTheFound) {
  size_t n = 0;
  float x = 0;
  bool is_set = false;
  std::vector<std::string> stop;
  std::vector<int32_t> ids;
  uint64_t number = 0;
  const FieldReaders readers = {{"n", count(n, 1, 5)},
                                {"x", real(x, 0, 1)},
                                {"flag", flag(is_set)},
                                {"stop", texts(stop)},
                                {"ids", token_ids(ids)},
                                {"seed", seed(number)},
                                {"in", fields({{"n", count(n)}}, UnknownFields::kIgnored)}};
  const std::pair<const char*, const char*> cases[] = {
      {R"({"n": 6})", "n: expected a whole number from 1 to 5, found 6"},
      {R"({"n": -1})", "found -1"},
      {R"({"n": 1.5})", "found 1.5"},
      {R"({"n": "1"})", "found \"1\""},
      {R"({"x": 1.5})", "x: expected a number from 0 to 1, found 1.5"},
      {R"({"flag": 1})", "flag: expected true or false, found 1"},
      {R"({"stop": ["a", ""]})", "stop: expected texts that are not empty"},
      {R"({"ids": [1, 99999999999]})", "ids: expected token ids, found 99999999999"},
      {R"({"seed": 0.5})", "seed: expected a whole number, found 0.5"},
      {R"({"in": {"n": -2}})", "in: n: expected a whole number"},
      {R"({"in": 3})", "in: expected an object, found 3"},
      {R"([1])", "expected an object, found [1]"},
      {R"({"n": 1)", "expected JSON, found"},
      {"", "expected JSON, found nothing"},
      {"{\"n\": \"\xff\"}", "expected JSON"},
  };
  for (const auto& [text, part] : cases)
    EXPECT_NE(refusal(text, readers).find(part), std::string::npos)
        << text << ": " << refusal(text, readers);
  EXPECT_EQ(refusal(R"({"seed": -1, "stop": "x"})", readers), "read");
  EXPECT_EQ(number, UINT64_MAX);
  EXPECT_EQ(stop, std::vector<std::string>{"x"});
}

TEST(JsonFields, DepthIsBounded) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse_json(nested(60)));
  ASSERT_FALSE(parse_json(nested(1'000'000)));
  EXPECT_NE(parse_json(nested(1'000'000)).error().message.find("levels"), std::string::npos);
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
}

TEST(JsonFields, ValuesAreShownShort) {
  EXPECT_LE(shown(Json(std::string(1 << 20, 'x'))).size(), 60U);
  EXPECT_EQ(shown(Json(std::vector<int>(1000))), "a list of 1000 values");
  EXPECT_EQ(shown(Json("a\xff")), "\"a\xef\xbf\xbd\"");  // U+FFFD
}

TEST(JsonFields, MembersAsTheyWereSent) {
  const std::string document =
      R"( {"a": 1,"b" : {"z": "}\"", "a": [1, {}]} , "c": "x" , "a": [ 2, "]" ] , "d": null } )";
  EXPECT_EQ(sent_member(document, "a"), R"([ 2, "]" ])");
  EXPECT_EQ(sent_member(document, "b"), R"({"z": "}\"", "a": [1, {}]})");
  EXPECT_EQ(sent_member(document, "c"), R"("x")");
  EXPECT_EQ(sent_member(document, "d"), "null");
  EXPECT_EQ(sent_member(document, "z"), "");
  for (const char* none : {"", "{}", "[1]", "5", "{", "{\"a", "{\"a\"", "{\"a\": ", "\"a\""})
    EXPECT_EQ(sent_member(none, "b"), "") << none;
}

}  // namespace
}  // namespace longhaul
