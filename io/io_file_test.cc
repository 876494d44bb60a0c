// MappedFile and OutputFile: ownership, errors with their reasons, and files that appear whole or
// not at all.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "io/mapped_file.h"
#include "io/output_file.h"
#include "io/test_dir.h"

namespace longhaul {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Caps the size of files this process may write, as a full disk would; restores the old limit at
// the end.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t n_bytes) {
    std::signal(SIGXFSZ, SIG_IGN);  // a write past the limit then fails with EFBIG
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{n_bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  rlimit old_ = {};
};

TEST(MappedFile, ReadsAFileAndSurvivesMoves) {
  const TestDir dir;
  write_text(dir.file("a"), "hello");
  auto first = MappedFile::open(dir.file("a")).value();
  const auto bytes = first.bytes();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.bytes().data(), bytes.data());
  EXPECT_EQ(static_cast<char>(bytes[4]), 'o');
  write_text(dir.file("b"), "other");
  MappedFile third = MappedFile::open(dir.file("b")).value();
  third = std::move(second);
  EXPECT_EQ(static_cast<char>(third.bytes()[0]), 'h');
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const TestDir dir;
  write_text(dir.file("a"), "");
  EXPECT_TRUE(MappedFile::open(dir.file("a")).value().bytes().empty());
}

TEST(MappedFile, ErrorsNameThePathAndTheReason) {
  const TestDir dir;
  const auto missing = MappedFile::open(dir.file("none"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_EQ(missing.error().message, dir.file("none") + ": cannot open: No such file or directory");
  const auto directory = MappedFile::open(dir.file(""));
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, dir.file("") + ": expected a regular file");
}

TEST(OutputFile, AppearsOnlyWhenCommitted) {
  const TestDir dir;
  write_text(dir.file("a"), "old");
  {
    auto file = OutputFile::create(dir.file("a"), 1000).value();
    ASSERT_TRUE(file.write(bytes_of("new")));
    EXPECT_EQ(read_text(dir.file("a")), "old");
    ASSERT_TRUE(file.write(bytes_of("er")));
    ASSERT_TRUE(file.commit());
  }
  EXPECT_EQ(read_text(dir.file("a")), "newer");
  EXPECT_EQ(dir.n_files(), 1u);
}

TEST(OutputFile, LeavesNothingWithoutACommit) {
  const TestDir dir;
  {
    auto file = OutputFile::create(dir.file("a")).value();
    ASSERT_TRUE(file.write(bytes_of("half")));
    OutputFile moved = std::move(file);
    EXPECT_EQ(moved.n_written(), 4u);
    EXPECT_EQ(dir.n_files(), 1u);
  }
  EXPECT_EQ(dir.n_files(), 0u);
}

TEST(OutputFile, ReportsAFullDiskAndKeepsTheOldFile) {
  const TestDir dir;
  write_text(dir.file("a"), "old");
  {
    const FileSizeLimit limit(4096);
    const auto reserved = OutputFile::create(dir.file("a"), 1 << 20);
    ASSERT_FALSE(reserved);
    EXPECT_EQ(reserved.error().code, ErrorCode::kIo);
    EXPECT_EQ(reserved.error().message,
              dir.file("a") + ": cannot reserve 1048576 bytes: File too large");

    auto file = OutputFile::create(dir.file("a")).value();
    const auto written = file.write(bytes_of(std::string(10000, 'x')));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message,
              dir.file("a") + ": cannot write past byte 4096: File too large");
  }
  EXPECT_EQ(read_text(dir.file("a")), "old");
  EXPECT_EQ(dir.n_files(), 1u);
}

TEST(OutputFile, TwoWritersOfOnePathDoNotMix) {
  const TestDir dir;
  auto first = OutputFile::create(dir.file("a")).value();
  auto second = OutputFile::create(dir.file("a")).value();
  ASSERT_TRUE(first.write(bytes_of("first")));
  ASSERT_TRUE(second.write(bytes_of("second")));
  ASSERT_TRUE(second.commit());
  EXPECT_EQ(read_text(dir.file("a")), "second");
  ASSERT_TRUE(first.commit());
  EXPECT_EQ(read_text(dir.file("a")), "first");
}

TEST(OutputFile, ErrorsNameThePath) {
  const TestDir dir;
  const auto file = OutputFile::create(dir.file("none/a"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("none/a"), std::string::npos);
  EXPECT_NE(file.error().message.find("cannot create: No such file or directory"),
            std::string::npos);
}

}  // namespace
}  // namespace longhaul
