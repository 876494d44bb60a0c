// Pages in a folder: random uses against a plain list, damage of all kinds, the limit.
#include "server/page_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "io/test_dir.h"
#include "server/page_folder.h"
#include "server/page_test_data.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPayload = 20'000;
constexpr uint64_t kFile = 20'480;  // as the limit counts it
constexpr uint64_t kAnyTime = UINT64_MAX;
constexpr uint64_t kLimit = PageIndex::kMostGrowth + 64'000 + 16 * kFile;

class PageStoreTest : public testing::Test {
 protected:
  void SetUp() override { open(); }

  void open(uint64_t limit = kLimit) {
    store_.reset();
    auto store = PageStore::open({.folder = dir_.file("pages"),
                                  .max_bytes = limit,
                                  .page_bytes = kPayload,
                                  .log = [this](std::string_view line) { log_ += line; }});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  std::string path(const std::string& name) const { return dir_.file("pages/" + name); }
  std::string path(const PageKey& key) const { return path(to_hex(key) + ".page"); }

  // All that lies in the folder.
  uint64_t folder_bytes() const {
    uint64_t n = 0;
    for (const auto& entry : fs::directory_iterator(dir_.file("pages")))
      n += disk_bytes(fs::file_size(entry.path()));
    return n;
  }
  PageStore::Write write(const PageKey& key, size_t first = 0) {
    return store_->write(key, first, payload_of(key, kPayload), store_->use({}));
  }
  bool is_there(const PageKey& key) const { return store_->n_there({&key, 1}) == 1; }
  PageStore::Read read(const PageKey& key) {
    std::vector<std::byte> payload;
    const PageStore::Read outcome = store_->read(key, payload);
    if (outcome == PageStore::Read::kThere) {
      EXPECT_EQ(payload, payload_of(key, kPayload));
    }
    return outcome;
  }

  TestDir dir_;
  std::unique_ptr<PageStore> store_;
  std::string log_;
};

// What the store should hold: the first goes first.
struct Listed {
  uint64_t used = 0;
  size_t first = 0;
  PageKey key;
  bool operator<(const Listed& other) const {
    return std::tuple(used, ~first, key) < std::tuple(other.used, ~other.first, other.key);
  }
};

class Model {
 public:
  explicit Model(PageStore& store) : store_(&store) {}
  void reopened(PageStore& store) { store_ = &store; }

  // A text of some pages becomes the newest, those that are missing are written.
  void write(const std::vector<PageKey>& text) {
    const uint64_t now = use(text);
    for (size_t i = 0; i < text.size(); ++i) {
      const bool was_there = find(text[i]) != list_.end();
      const auto outcome =
          store_->write(text[i], i * kPageTokens, payload_of(text[i], kPayload), now);
      ASSERT_EQ(outcome == PageStore::Write::kThere, was_there);
      if (outcome == PageStore::Write::kWritten) list_.push_back({now, i * kPageTokens, text[i]});
      std::sort(list_.begin(), list_.end());
      check_gone(now);
      if (outcome == PageStore::Write::kNoRoom) return;
    }
  }
  uint64_t use(const std::vector<PageKey>& text) {
    const uint64_t now = store_->use(text);
    for (Listed& listed : list_) {
      if (std::find(text.begin(), text.end(), listed.key) != text.end()) listed.used = now;
    }
    std::sort(list_.begin(), list_.end());
    return now;
  }
  // What is gone was the oldest, and there was no room for it.
  void check_gone(uint64_t now) {
    size_t n_gone = 0;
    while (n_gone < list_.size() && store_->n_there({&list_[n_gone].key, 1}) == 0) ++n_gone;
    for (size_t i = n_gone; i < list_.size(); ++i)
      ASSERT_EQ(store_->n_there({&list_[i].key, 1}), 1U) << i << " behind " << n_gone;
    if (n_gone > 0 &&
        now != kAnyTime) {  // the index, for which room was made, may be smaller again
      EXPECT_LT(list_[n_gone - 1].used, now);
      EXPECT_GT(store_->counts().n_bytes + PageIndex::kMostGrowth + kFile, kLimit);
    }
    list_.erase(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(n_gone));
    ASSERT_EQ(store_->counts().n_pages, list_.size());
  }
  void erase(const PageKey& key) { list_.erase(find(key)); }
  const std::vector<Listed>& list() const { return list_; }

 private:
  std::vector<Listed>::iterator find(const PageKey& key) {
    return std::find_if(list_.begin(), list_.end(),
                        [&](const Listed& listed) { return listed.key == key; });
  }

  PageStore* store_;
  std::vector<Listed> list_;
};

// Texts of a tree: the pages of a text are numbered by its first ones' numbers.
std::vector<PageKey> random_text(std::mt19937& random) {
  std::vector<PageKey> text;
  uint64_t number = 1;
  for (size_t n = 1 + random() % 6; n > 0; --n) {
    number = number * 3 + random() % 3;
    text.push_back(key_of(number));
  }
  return text;
}

TEST_F(PageStoreTest, RandomUsesAreThoseOfAPlainList) {
  std::mt19937 random(3);
  Model model(*store_);
  size_t n_evictions = 0, n_reopened = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::vector<PageKey> text = random_text(random);
    const auto what = random() % 20;
    if (what < 10) {
      ASSERT_NO_FATAL_FAILURE(model.write(text));
    } else if (what < 14) {
      model.use(text);
    } else if (what < 18) {
      for (const PageKey& key : text)
        EXPECT_EQ(read(key), is_there(key) ? PageStore::Read::kThere : PageStore::Read::kGone);
    } else if (what == 18) {
      store_->flush();
    } else {
      n_evictions += store_->counts().n_evicted;
      open();
      model.reopened(*store_);
      ++n_reopened;
    }
    ASSERT_NO_FATAL_FAILURE(model.check_gone(kAnyTime));
    ASSERT_LE(folder_bytes(), kLimit);
    ASSERT_LE(folder_bytes(), store_->counts().n_bytes);
  }
  EXPECT_GT(n_evictions, 200U);
  EXPECT_GT(n_reopened, 30U);
  EXPECT_EQ(store_->counts().n_damaged, 0U);
  for (const Listed& listed : model.list()) EXPECT_EQ(read(listed.key), PageStore::Read::kThere);
}

TEST_F(PageStoreTest, ADamagedFileIsDroppedAndNeverServed) {
  std::mt19937 random(5);
  for (uint64_t round = 0; round < 60; ++round) {
    const PageKey key = key_of(round);
    ASSERT_EQ(write(key), PageStore::Write::kWritten);
    std::string file = read_text(path(key));
    if (round % 3 == 0) {
      file[random() % file.size()] ^= static_cast<char>(1 << random() % 8);
    } else if (round % 3 == 1) {
      file.resize(random() % file.size());
    } else {
      file += 'x';
    }
    write_text(path(key), file);
    if (round % 4 == 3) open();  // seen by the process after this one
    EXPECT_EQ(read(key), PageStore::Read::kDamaged);
    EXPECT_EQ(read(key), PageStore::Read::kGone);
    EXPECT_EQ(store_->counts().n_damaged, 1U);
    EXPECT_FALSE(fs::exists(path(key)));
    EXPECT_NE(log_.find(to_hex(key)), std::string::npos);
    EXPECT_EQ(write(key), PageStore::Write::kWritten);  // and may be written again
    EXPECT_EQ(read(key), PageStore::Read::kThere);
    open();
  }
}

TEST_F(PageStoreTest, AFileOfAnotherPageIsForeign) {
  ASSERT_EQ(write(key_of(1)), PageStore::Write::kWritten);
  ASSERT_EQ(write(key_of(2)), PageStore::Write::kWritten);
  fs::copy_file(path(key_of(1)), path(key_of(2)), fs::copy_options::overwrite_existing);
  EXPECT_EQ(read(key_of(2)), PageStore::Read::kDamaged);
  EXPECT_EQ(read(key_of(1)), PageStore::Read::kThere);
  fs::remove(path(key_of(1)));
  EXPECT_EQ(read(key_of(1)), PageStore::Read::kDamaged);
}

// The index saves time, and nothing depends on it.
TEST_F(PageStoreTest, AnIndexThatIsLostIsMadeFromTheFiles) {
  for (const bool is_damaged : {false, true}) {
    for (uint64_t i = 0; i < 5; ++i) (void)write(key_of(i), i * kPageTokens);
    store_.reset();
    for (const std::string& name : index_files(path("index.db"))) fs::remove(name);
    if (is_damaged) write_text(path("index.db"), std::string(8192, 'x'));
    write_text(path(to_hex(key_of(77)) + ".page"), "no page");
    write_text(path(to_hex(key_of(78)) + ".page.tmp"), "a killed process left it");
    open();
    EXPECT_EQ(log_.find("made anew") != std::string::npos, is_damaged) << log_;
    for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(read(key_of(i)), PageStore::Read::kThere);
    EXPECT_EQ(store_->counts().n_pages, 5U);
    EXPECT_EQ(store_->counts().n_damaged, 1U);
    EXPECT_FALSE(fs::exists(path(to_hex(key_of(77)) + ".page")));
    EXPECT_FALSE(fs::exists(path(to_hex(key_of(78)) + ".page.tmp")));
  }
}

// Rows without files, and files without rows: those were written last.
TEST_F(PageStoreTest, AKilledProcessLeavesAnOldIndex) {
  for (uint64_t i = 0; i < 4; ++i) (void)write(key_of(i));
  store_->flush();
  store_.reset();
  const std::string index = read_text(path("index.db"));
  open();
  for (uint64_t i = 4; i < 8; ++i) (void)write(key_of(i));
  store_.reset();
  write_text(path("index.db"), index);
  fs::remove(path(key_of(1)));
  open();
  EXPECT_FALSE(is_there(key_of(1)));
  EXPECT_EQ(store_->counts().n_pages, 7U);
  for (uint64_t i = 100; is_there(key_of(0)) || is_there(key_of(2)) || is_there(key_of(3)); ++i)
    (void)write(key_of(i));
  for (uint64_t i = 4; i < 8; ++i) EXPECT_TRUE(is_there(key_of(i))) << i;
}

TEST_F(PageStoreTest, ATextLargerThanTheLimitDoesNotDriveItselfOut) {
  std::vector<PageKey> text;
  for (uint64_t i = 0; i < 100; ++i) text.push_back(key_of(i));
  const uint64_t now = store_->use(text);
  size_t n = 0;
  while (store_->write(text[n], n * kPageTokens, payload_of(text[n], kPayload), now) ==
         PageStore::Write::kWritten)
    ++n;
  EXPECT_GE(n, 10U);
  EXPECT_EQ(store_->n_there(text), n);
  EXPECT_EQ(store_->counts().n_evicted, 0U);
  EXPECT_LE(folder_bytes(), kLimit);
}

TEST_F(PageStoreTest, ASmallerLimitHoldsFromTheStart) {
  for (uint64_t i = 0; i < 16; ++i) (void)write(key_of(i));
  const uint64_t limit = kLimit - 8 * kFile;
  open(limit);
  EXPECT_LE(folder_bytes(), limit);
  EXPECT_GT(store_->counts().n_evicted, 4U);
  EXPECT_FALSE(is_there(key_of(0)));
  EXPECT_TRUE(is_there(key_of(15)));
  store_.reset();
  const auto refused = PageStore::open(
      {.folder = dir_.file("pages"), .max_bytes = 100'000, .page_bytes = kPayload, .log = {}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("found 100000"), std::string::npos);
}

TEST_F(PageStoreTest, FilesOfOthersCountAndStay) {
  write_text(path("notes.txt"), std::string(10 * kFile, 'x'));
  open();
  for (uint64_t i = 0; i < 16; ++i) (void)write(key_of(i));
  EXPECT_TRUE(fs::exists(path("notes.txt")));
  EXPECT_LE(folder_bytes(), kLimit);
  EXPECT_LT(store_->counts().n_pages, 9U);
  EXPECT_NE(log_.find("not ours"), std::string::npos);
}

TEST_F(PageStoreTest, AFolderHasOneUser) {
  const auto second = PageStore::open(
      {.folder = dir_.file("pages"), .max_bytes = kLimit, .page_bytes = kPayload, .log = {}});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
  store_.reset();
  EXPECT_TRUE(PageStore::open(
      {.folder = dir_.file("pages"), .max_bytes = kLimit, .page_bytes = kPayload, .log = {}}));
}

TEST_F(PageStoreTest, NobodyElseMayReadThem) {
  ASSERT_EQ(write(key_of(1)), PageStore::Write::kWritten);
  const auto nobody = fs::perms::group_all | fs::perms::others_all;
  EXPECT_EQ(fs::status(path(key_of(1))).permissions() & nobody, fs::perms::none);
  EXPECT_EQ(fs::status(dir_.file("pages")).permissions() & nobody, fs::perms::none);
}

}  // namespace
}  // namespace longhaul
