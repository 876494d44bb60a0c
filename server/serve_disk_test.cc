// Kept prompts on disk: the server after this one says the same and reads little again.
#include <filesystem>
#include <fstream>

#include "io/test_dir.h"
#include "server/page_key.h"
#include "server/serve_fixture.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

class ServeDisk : public Serve {
 protected:
  ServerOptions on_disk() const {
    ServerOptions options;
    options.prefix_folder = folder_;
    options.max_prefix_bytes = 8 << 20;
    options.program = "this test";
    options.log = [](std::string_view) {};
    return options;
  }
  // The server before this one goes first: it has the folder.
  void restart(ServerOptions options) {
    server_.reset();
    start(std::move(options));
  }
  void await_written(const std::string& headers = "") {
    while (get(port_, "/metrics", headers).body.find("\nlonghaul:prefix_pages_waiting 0\n") ==
           std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  struct Answer {
    std::string text;
    size_t n_cached = 0;
  };
  Answer answer(const Json& body, const std::string& headers = "") {
    const TestReply reply = post(port_, "/v1/completions", body, headers);
    EXPECT_EQ(reply.status, 200U) << reply.body;
    const Json json = reply.json();
    return {json["choices"][0]["text"],
            json["usage"]["prompt_tokens_details"]["cached_tokens"].get<size_t>()};
  }
  std::vector<fs::path> pages() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().extension() == ".page") found.push_back(entry.path());
    }
    return found;
  }

  TestDir dir_;
  const std::string folder_ = dir_.file("prefixes");
};

constexpr size_t kPrompt = 4 * kPageTokens + 20;

TEST_F(ServeDisk, ColdWarmAndAfterARestartAreTheSame) {
  for (const uint64_t seed : {2U, 3U}) {
    restart(on_disk());
    const Json body = request_of(kPrompt, 40, seed);
    const Answer cold = answer(body);
    EXPECT_EQ(cold.text, alone(body).text);
    EXPECT_EQ(cold.n_cached, 0U);
    const Answer warm = answer(body);
    EXPECT_EQ(warm.text, cold.text);
    EXPECT_EQ(warm.n_cached, kPrompt - 1);
    await_written();
    restart(on_disk());
    const Answer again = answer(body);
    EXPECT_EQ(again.text, cold.text);
    EXPECT_EQ(again.n_cached, 4 * kPageTokens);
    EXPECT_EQ(metric("longhaul:prefix_restored_tokens_total"), std::to_string(4 * kPageTokens));
    EXPECT_EQ(metric("longhaul:prefix_misses_total{reason=\"disk\"}"), "1");
    EXPECT_EQ(metric("longhaul:prefix_pages_damaged_total"), "0");
    EXPECT_EQ(answer(body).n_cached, kPrompt - 1);  // memory has it again
  }
}

// The next turn builds on the answer as well, and texts that begin alike share their files.
TEST_F(ServeDisk, TurnsShareTheirBeginning) {
  restart(on_disk());
  Json body = request_of(2 * kPageTokens, 40, 2);
  const GenerateResult first = alone(body);
  (void)answer(body);
  await_written();
  EXPECT_EQ(pages().size(), 2U);
  std::vector<int32_t> prompt = body["prompt"];
  prompt.insert(prompt.end(), first.tokens.begin(), first.tokens.end());
  std::vector<std::string> texts;
  for (const int32_t last : {5, 6}) {
    body["prompt"] = prompt;
    for (size_t i = 0; i < kPageTokens; ++i) body["prompt"].push_back(last);
    texts.push_back(answer(body).text);
    await_written();
  }
  EXPECT_EQ(pages().size(), 2U + 2 * 2U);  // from the third page on they are two texts
  restart(on_disk());
  EXPECT_EQ(answer(body).text, texts[1]);
  EXPECT_EQ(metric("longhaul:prefix_restored_tokens_total"), std::to_string(3 * kPageTokens));
}

// Memory has a beginning, the disk has more.
TEST_F(ServeDisk, TheDiskGoesOnWhereMemoryEnds) {
  restart(on_disk());
  const Json longer = request_of(kPrompt, 30, 3);
  Json shorter = request_of(kPrompt, 1, 3);
  shorter["prompt"] = std::vector<int32_t>(longer["prompt"].begin(),
                                           longer["prompt"].begin() + 2 * kPageTokens + 30);
  const Answer cold = answer(longer);
  await_written();
  restart(on_disk());
  (void)answer(shorter);  // its last page is not whole: read, and in memory
  const Answer found = answer(longer);
  EXPECT_EQ(found.text, cold.text);
  EXPECT_EQ(found.n_cached, 4 * kPageTokens);
}

TEST_F(ServeDisk, WhatSparseStepsLeftDoesNotGoThere) {
  restart(on_disk());
  Json body = request_of(2 * kPageTokens, 3 * kPageTokens, 2);
  body["longhaul"] = {{"attention", "sparse"}, {"sparse_ratio", 0.05}, {"min_blocks", 4}};
  const Answer cold = answer(body);
  await_written();
  EXPECT_EQ(pages().size(), 2U);
  restart(on_disk());
  EXPECT_EQ(answer(body).text, cold.text);
  EXPECT_EQ(metric("longhaul:prefix_restored_tokens_total"), std::to_string(kPageTokens));
}

TEST_F(ServeDisk, DamagedFilesAreDroppedAndTheRestIsRead) {
  restart(on_disk());
  const Json body = request_of(kPrompt, 30, 3);
  const Answer cold = answer(body);
  await_written();
  server_.reset();
  for (const fs::path& page : pages()) {
    std::fstream file(page, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('x');
    file.put('y');
  }
  start(on_disk());
  const Answer again = answer(body);
  EXPECT_EQ(again.text, cold.text);
  EXPECT_EQ(again.n_cached, 0U);
  EXPECT_EQ(metric("longhaul:prefix_pages_damaged_total"), "1");  // the others lie behind it
  EXPECT_EQ(metric("longhaul:prefix_misses_total{reason=\"damaged\"}"), "1");
}

TEST_F(ServeDisk, KeysDoNotShareWhatIsThere) {
  ServerOptions options = on_disk();
  options.api_keys = {"one", "two"};
  const std::string one = "Authorization: Bearer one\r\n", two = "Authorization: Bearer two\r\n";
  const Json body = request_of(kPrompt, 10, 3);
  restart(options);
  const Answer cold = answer(body, one);
  await_written(one);
  const size_t n_pages = pages().size();
  restart(options);
  EXPECT_EQ(answer(body, two).n_cached, 0U);
  await_written(one);
  EXPECT_EQ(pages().size(), 2 * n_pages);
  EXPECT_EQ(answer(body, one).n_cached, 4 * kPageTokens);
  // A server without keys has what nobody else has; another program has its own.
  restart(on_disk());
  EXPECT_EQ(answer(body).n_cached, 0U);
  options.program = "another";
  restart(options);
  const Answer other = answer(body, one);
  EXPECT_EQ(other.n_cached, 0U);
  EXPECT_EQ(other.text, cold.text);
}

TEST_F(ServeDisk, WhoWantsNothingKeptIsNotKept) {
  restart(on_disk());
  Json body = request_of(kPrompt, 10, 3);
  body["cache_prompt"] = false;
  (void)answer(body);
  await_written();
  EXPECT_TRUE(pages().empty());
}

TEST_F(ServeDisk, ALimitThatIsSmallIsHeld) {
  ServerOptions options = on_disk();
  options.max_prefix_bytes = 900'000;
  restart(options);
  for (uint64_t seed = 10; seed < 40; ++seed) (void)answer(request_of(kPrompt, 2, seed));
  await_written();
  EXPECT_NE(metric("longhaul:prefix_pages_evicted_total"), "0");
  uint64_t n_bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) n_bytes += fs::file_size(entry.path());
  EXPECT_LE(n_bytes, options.max_prefix_bytes);
  EXPECT_GT(n_bytes, 100'000U);
}

TEST_F(ServeDisk, WhatCannotBeIsRefusedInWords) {
  restart(on_disk());
  ServerOptions options = on_disk();
  options.n_kept = 1;
  const auto second = Server::start(*engine_, options);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
  server_.reset();
  options.n_kept = 0;
  EXPECT_FALSE(Server::start(*engine_, options));
  EngineOptions windows;
  windows.model_path = write_tiny_model(tiny_spec("gemma3"));
  const auto engine = Engine::load(windows);
  ASSERT_TRUE(engine);
  options.n_kept = 1;
  const auto refused = Server::start(**engine, options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("windows"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
