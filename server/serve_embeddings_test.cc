#include <cmath>
#include <cstring>

#include "server/serve_fixture.h"

namespace longhaul {
namespace {

std::vector<float> floats_of(const Json& reply, size_t index) {
  return reply["data"].at(index)["embedding"].get<std::vector<float>>();
}

// What the engine says, brought to length 1.
std::vector<float> unit(std::vector<float> numbers) {
  double sum = 0;
  for (const float number : numbers) sum += double{number} * number;
  for (float& number : numbers) number = static_cast<float>(number / std::sqrt(sum));
  return numbers;
}

void expect_near(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
}

TEST_F(Serve, EmbeddingsAreThoseOfTheEngine) {
  start();
  const std::vector<int32_t> one = random_tokens(20, 1), two = random_tokens(9, 2);
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const TestReply reply =
        post(port_, "/v1/embeddings", {{"input", {one, two}}, {"pooling", to_string(pooling)}});
    ASSERT_EQ(reply.status, 200U) << reply.body;
    EXPECT_EQ(reply.json()["usage"]["prompt_tokens"], 29);
    expect_near(floats_of(reply.json(), 0),
                unit(engine_->new_session().value().embed(one, pooling).value()));
    expect_near(floats_of(reply.json(), 1),
                unit(engine_->new_session().value().embed(two, pooling).value()));
  }
  const Json text = post(port_, "/v1/embeddings", {{"input", "Hello"}}).json();
  const auto tokens = engine_->tokenize("Hello", true, false).value();
  expect_near(floats_of(text, 0),
              unit(engine_->new_session().value().embed(tokens, Pooling::kMean).value()));
}

TEST_F(Serve, EmbeddingsAreCutToDimensions) {
  start();
  const Json whole = post(port_, "/v1/embeddings", {{"input", "Hello"}}).json();
  const Json cut = post(port_, "/v1/embeddings", {{"input", "Hello"}, {"dimensions", 5}}).json();
  std::vector<float> expected = floats_of(whole, 0);
  expected.resize(5);
  expect_near(floats_of(cut, 0), unit(expected));
}

TEST_F(Serve, EmbeddingsInBase64) {
  start();
  // Two lengths, so that the text ends in both ways that this has.
  for (const size_t n : {4, 5}) {
    const Json body = {{"input", "Hello"}, {"dimensions", n}};
    Json coded = body;
    coded["encoding_format"] = "base64";
    const std::string text = post(port_, "/v1/embeddings", coded).json()["data"].at(0)["embedding"];
    std::string bytes;
    uint32_t bits = 0;
    size_t n_bits = 0;
    for (const char c : text.substr(0, text.find('='))) {
      const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      bits = bits << 6U | static_cast<uint32_t>(digits.find(c));
      n_bits += 6;
      if (n_bits < 8) continue;
      n_bits -= 8;
      bytes += static_cast<char>(bits >> n_bits & 255U);
    }
    EXPECT_EQ(text.size() % 4, 0U);
    ASSERT_EQ(bytes.size(), n * sizeof(float));
    std::vector<float> found(n);
    std::memcpy(found.data(), bytes.data(), bytes.size());
    expect_near(found, floats_of(post(port_, "/v1/embeddings", body).json(), 0));
  }
}

TEST_F(Serve, EmbeddingsThatCannotBeAreRefused) {
  start();
  const auto error_of = [&](const Json& fields) {
    Json body = {{"input", "Hello"}};
    body.update(fields);
    const TestReply reply = post(port_, "/v1/embeddings", body);
    return std::pair(reply.status, reply.json()["error"]["param"]);
  };
  EXPECT_EQ(error_of({{"model", 3}, {"user", nullptr}}).first, 200U);
  EXPECT_EQ(error_of({{"input", ""}}), std::pair(400U, Json("input")));
  EXPECT_EQ(error_of({{"input", nullptr}}), std::pair(400U, Json("input")));
  EXPECT_EQ(error_of({{"input", Json::array()}}), std::pair(400U, Json("input")));
  EXPECT_EQ(error_of({{"input", Json::array({Json::array()})}}), std::pair(400U, Json("input")));
  EXPECT_EQ(error_of({{"input", {1, 1 << 30}}}), std::pair(400U, Json("input")));
  EXPECT_EQ(error_of({{"input", std::string(600, 'x')}}), std::pair(400U, Json()));
  EXPECT_EQ(error_of({{"dimensions", 100000}}), std::pair(400U, Json("dimensions")));
  EXPECT_EQ(error_of({{"pooling", "max"}}), std::pair(400U, Json("pooling")));
  EXPECT_EQ(error_of({{"encoding_format", "int8"}}), std::pair(400U, Json("encoding_format")));
}

}  // namespace
}  // namespace longhaul
