#include "server/request_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace longhaul {
namespace {

StoredRequest request_named(const std::string& id, int64_t created, size_t n_bytes) {
  StoredRequest request;
  request.id = id;
  request.created = created;
  request.path = "/completions";
  request.body = std::string(n_bytes, 'b');
  request.seed = ~uint64_t{0};  // more than SQLite's numbers hold as they stand
  return request;
}

TEST(RequestStore, WhatIsWrittenIsRead) {
  const auto store = RequestStore::open("").value();
  StoredRequest request = request_named("a", 1, 10);
  ASSERT_TRUE(store->insert(request));
  EXPECT_FALSE(store->insert(request));  // there already
  request.tokens = {3, -1, 1 << 30};
  request.n_resumable = 2;
  ASSERT_TRUE(store->mark({request}));
  const StoredRequest read = store->find("", "a").value().value();
  EXPECT_EQ(read.tokens, request.tokens);
  EXPECT_EQ(read.n_resumable, 2U);
  EXPECT_EQ(read.seed, request.seed);
  EXPECT_EQ(store->running().value().size(), 1U);
  request.state = RequestState::kDone;
  request.answer = std::string("a\0b", 3);
  ASSERT_TRUE(store->finish(request));
  EXPECT_EQ(store->find("", "a").value()->answer, request.answer);
  EXPECT_EQ(store->running().value().size(), 0U);
  EXPECT_EQ(store->list("").value()[0].n_tokens, 3U);
  EXPECT_FALSE(store->find("other", "a").value().has_value());
}

TEST(RequestStore, TheOldestThatAreOverGoFirst) {
  const auto store = RequestStore::open("").value();
  for (int i = 0; i < 4; ++i) {
    StoredRequest request = request_named(std::to_string(i), i, 100);
    ASSERT_TRUE(store->insert(request));
    if (i == 0) continue;  // the oldest runs
    request.state = RequestState::kDone;
    ASSERT_TRUE(store->finish(request));
  }
  EXPECT_EQ(store->trim(250).value(), 200U);
  EXPECT_TRUE(store->find("", "0").value().has_value());
  EXPECT_TRUE(store->find("", "3").value().has_value());
  EXPECT_EQ(store->trim(50).value(), 100U);
}

TEST(RequestStore, AFileOfAnotherKindIsRefusedByName) {
  const std::string path = testing::TempDir() + "no-requests.db";
  std::filesystem::remove(path);
  std::ofstream(path) << std::string(5000, 'x');
  const auto opened = RequestStore::open(path);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(path), std::string::npos) << opened.error().message;
  EXPECT_FALSE(RequestStore::open("/nonexistent/requests.db"));
}

}  // namespace
}  // namespace longhaul
