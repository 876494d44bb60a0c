// A file written whole or not at all: bytes go to a temporary file beside it, which replaces it on
// commit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace longhaul {

class OutputFile {
 public:
  // Starts writing `path`. The room for `expected_bytes` is reserved at once where the file system
  // can, so that a full disk is found before hours of work; 0 reserves nothing. Errors are kIo and
  // name the path and the reason.
  static Result<OutputFile> create(const std::string& path, uint64_t expected_bytes = 0);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  // Without a commit() nothing is left behind, and an older file of the same name stays as it was.
  ~OutputFile();

  Status write(std::span<const std::byte> bytes);
  // Flushes to the disk and gives the file its name. Nothing may be written afterwards.
  Status commit();

  uint64_t n_written() const { return n_written_; }

 private:
  OutputFile() = default;

  std::string path_;
  std::string temporary_;  // empty once committed or moved from
  int fd_ = -1;
  uint64_t n_written_ = 0;
};

}  // namespace longhaul
