// A file mapped read-only into memory. Owns the mapping: every span into it dies with the object.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace longhaul {

class MappedFile {
 public:
  // Maps the regular file at `path`. An empty file gives an empty span.
  // Errors: kIo with the path and the reason of the operating system; kBadInput if it is not a
  // regular file.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // The whole file. Its address does not change when the object is moved. If another process
  // shortens the file while it is mapped, touching the lost pages ends the process: model files
  // must not be edited in place.
  std::span<const std::byte> bytes() const { return bytes_; }

  // Drops the memory behind the whole pages of `part`, which lies in bytes(); the next touch reads
  // them from the file again. For data that was copied into another layout.
  void release(std::span<const std::byte> part) const;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace longhaul
