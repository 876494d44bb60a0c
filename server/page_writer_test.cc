// Pages written behind: all of what is kept, nothing of what is not, and both are counted.
#include "server/page_writer.h"

#include <gtest/gtest.h>

#include <latch>
#include <map>

#include "io/test_dir.h"
#include "server/page_test_data.h"

namespace longhaul {
namespace {

constexpr uint64_t kPayload = 1000;

std::vector<PageKey> pages_of(uint64_t text, size_t n) {
  std::vector<PageKey> pages;
  for (size_t i = 0; i < n; ++i) pages.push_back(key_of(1000 * text + i));
  return pages;
}

class PageWriterTest : public testing::Test {
 protected:
  // `hold`: the first page asked for is given once release_ is counted down.
  void start(size_t max_waiting, bool hold = false) {
    auto store = PageStore::open(
        {.folder = dir_.file("pages"), .max_bytes = 1 << 24, .page_bytes = kPayload, .log = {}});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    holds_ = hold;
    writer_ = std::make_unique<PageWriter>(
        *store_, PageWriter::Options{
                     .max_waiting = max_waiting,
                     .source = [this](uint64_t text, size_t page) { return give(text, page); },
                     .on_change = [] {}});
  }
  std::optional<std::vector<std::byte>> give(uint64_t text, size_t page) {
    if (holds_) {
      holds_ = false;
      asked_.count_down();
      release_.wait();
    }
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(text);
    if (kept == kept_.end()) return std::nullopt;
    return payload_of(kept->second[page], kPayload);
  }
  void keep(uint64_t text, std::vector<PageKey> pages, const std::vector<uint64_t>& gone = {}) {
    {
      const std::lock_guard lock(mutex_);
      kept_[text] = pages;
      for (const uint64_t id : gone) kept_.erase(id);
    }
    writer_->offer(text, std::move(pages), gone);
  }
  void finish() {
    while (writer_->counts().n_waiting > 0) std::this_thread::yield();
  }
  size_t n_there(uint64_t text, size_t n) { return store_->n_there(pages_of(text, n)); }

  TestDir dir_;
  std::mutex mutex_;
  std::map<uint64_t, std::vector<PageKey>> kept_;
  std::atomic<bool> holds_ = false;
  std::latch asked_{1}, release_{1};
  std::unique_ptr<PageStore> store_;
  std::unique_ptr<PageWriter> writer_;
};

TEST_F(PageWriterTest, WritesWhatIsKept) {
  start(100);
  for (uint64_t text = 0; text < 5; ++text) keep(text, pages_of(text, 6));
  finish();
  for (uint64_t text = 0; text < 5; ++text) EXPECT_EQ(n_there(text, 6), 6U);
  EXPECT_EQ(writer_->counts().n_written, 30U);
  keep(9, pages_of(0, 6));  // all there
  finish();
  EXPECT_EQ(writer_->counts().n_written, 30U);
  EXPECT_EQ(writer_->counts().n_dropped, 0U);
  std::vector<std::byte> payload;
  EXPECT_EQ(store_->read(pages_of(3, 6)[5], payload), PageStore::Read::kThere);
  EXPECT_EQ(payload, payload_of(pages_of(3, 6)[5], kPayload));
}

TEST_F(PageWriterTest, WhatDoesNotFitTheQueueIsDroppedAndCounted) {
  start(10, /*hold=*/true);
  keep(1, pages_of(1, 6));
  asked_.wait();  // it runs, and counts as waiting until it is over
  keep(2, pages_of(2, 4));
  keep(3, pages_of(3, 1));  // one too many
  EXPECT_EQ(writer_->counts().n_waiting, 10U);
  EXPECT_EQ(writer_->counts().n_dropped, 1U);
  release_.count_down();
  finish();
  EXPECT_EQ(writer_->counts().n_written, 10U);
  EXPECT_EQ(n_there(3, 1), 0U);
}

TEST_F(PageWriterTest, WhatIsNoLongerKeptIsDroppedAndCounted) {
  start(100, /*hold=*/true);
  keep(1, pages_of(1, 6));
  asked_.wait();
  keep(2, pages_of(2, 4));
  keep(3, pages_of(3, 2), {1, 2});  // in the place of the one that runs and of one that waits
  EXPECT_EQ(writer_->counts().n_dropped, 4U);
  release_.count_down();
  finish();
  EXPECT_EQ(writer_->counts().n_dropped, 10U);
  EXPECT_EQ(n_there(3, 2), 2U);
  EXPECT_EQ(writer_->counts().n_written, 2U);
}

TEST_F(PageWriterTest, ATextThatGoesOnIsNotLost) {
  start(100, /*hold=*/true);
  keep(1, pages_of(1, 3));
  asked_.wait();
  keep(2, pages_of(2, 3));
  keep(3, pages_of(2, 5), {2});  // the second, longer
  keep(4, pages_of(1, 4), {1});  // the first, which is being written
  release_.count_down();
  finish();
  EXPECT_EQ(writer_->counts().n_dropped, 0U);
  EXPECT_EQ(n_there(1, 4), 4U);
  EXPECT_EQ(n_there(2, 5), 5U);
}

TEST_F(PageWriterTest, ForgettingAllDropsWhatWaits) {
  start(100, /*hold=*/true);
  keep(1, pages_of(1, 3));
  asked_.wait();
  keep(2, pages_of(2, 3));
  {
    const std::lock_guard lock(mutex_);
    kept_.clear();
  }
  writer_->forget_all();
  release_.count_down();
  finish();
  EXPECT_EQ(writer_->counts().n_dropped, 6U);
  EXPECT_EQ(store_->counts().n_pages, 0U);
}

// Without a grace an end does not write what waits.
TEST_F(PageWriterTest, ItEnds) {
  start(100, /*hold=*/true);
  keep(1, pages_of(1, 1));
  asked_.wait();
  keep(2, pages_of(2, 3));
  release_.count_down();
  writer_->end();
  EXPECT_EQ(writer_->counts().n_waiting, 0U);
  EXPECT_EQ(writer_->counts().n_written + writer_->counts().n_dropped, 4U);
}

}  // namespace
}  // namespace longhaul
