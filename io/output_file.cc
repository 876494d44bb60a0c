#include "io/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace longhaul {
namespace {

constexpr int kMaxAttempts = 100;

// An error about `path` for the operating system's number `error`.
tl::unexpected<Error> failed(const std::string& path, std::string_view what, int error) {
  return make_error(ErrorCode::kIo, "{}: cannot {}: {}", path, what,
                    std::generic_category().message(error));
}

// Makes a rename durable: the directory entry is data of the directory. Failures are ignored, since
// the file itself is already safe and some file systems refuse to sync a directory.
void sync_directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path, uint64_t expected_bytes) {
  OutputFile file;
  file.path_ = path;
  for (int attempt = 0; file.fd_ < 0; ++attempt) {
    std::string temporary = fmt::format("{}.{}.{}.tmp", path, ::getpid(), attempt);
    file.fd_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    // A name may be taken: by a killed process with the same number, or by another writer in this
    // one.
    if (file.fd_ < 0 && (errno != EEXIST || attempt == kMaxAttempts))
      return failed(temporary, "create", errno);
    if (file.fd_ >= 0) file.temporary_ = std::move(temporary);
  }
  if (expected_bytes > 0 && ::fallocate(file.fd_, 0, 0, static_cast<off_t>(expected_bytes)) != 0) {
    // Not every file system can reserve; those that can say plainly when there is no room.
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
      return failed(path, fmt::format("reserve {} bytes", expected_bytes), errno);
    }
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      n_written_(other.n_written_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(fd_, other.fd_);
  std::swap(n_written_, other.n_written_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path_, fmt::format("write past byte {}", n_written_), errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    n_written_ += static_cast<uint64_t>(n);
  }
  return {};
}

Status OutputFile::commit() {
  // The reservation may have been larger than what was written.
  if (::ftruncate(fd_, static_cast<off_t>(n_written_)) != 0)
    return failed(path_, "set its size", errno);
  if (::fsync(fd_) != 0) return failed(path_, "flush", errno);
  if (::close(std::exchange(fd_, -1)) != 0) return failed(path_, "close", errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return failed(path_, fmt::format("rename {} to it", temporary_), errno);
  }
  temporary_.clear();
  sync_directory_of(path_);
  return {};
}

}  // namespace longhaul
