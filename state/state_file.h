// The frame of a state file: magic, version, then sections in a fixed order, each with its own
// checksum. What the sections hold is the business of sequence_file.cc and kv_state.cc. Numbers are
// little-endian.
//
//   "LHSTATE1", u32 version, u32 number of sections, then per section
//   u32 tag, u64 n_bytes, the bytes, u64 XXH3-64 of tag, n_bytes and bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/stream_hash.h"
#include "io/byte_reader.h"
#include "io/output_file.h"

namespace longhaul {

inline constexpr uint32_t kStateVersion = 6;
inline constexpr size_t kStateFrameBytes = 16;    // before the first section
inline constexpr size_t kSectionFrameBytes = 20;  // around the bytes of each section

// The tag of a section from its four letters.
constexpr uint32_t section_tag(const char (&letters)[5]) {
  uint32_t tag = 0;
  for (int i = 3; i >= 0; --i) tag = tag << 8 | static_cast<uint8_t>(letters[i]);
  return tag;
}

// The checksum of a section as it stands in the file.
uint64_t section_checksum(uint32_t tag, std::span<const std::byte> bytes);

// Writes sections piece by piece; the file appears at commit().
class StateWriter {
 public:
  // `n_bytes`: the size of the whole file, reserved on the disk at once.
  static Result<StateWriter> create(const std::string& path, uint32_t n_sections, uint64_t n_bytes);
  // A section of exactly `n_bytes` bytes: begin, append until all are there, end.
  Status begin_section(uint32_t tag, uint64_t n_bytes);
  Status append(std::span<const std::byte> bytes);
  Status end_section();
  Status write_section(uint32_t tag, std::span<const std::byte> bytes);
  Status commit();

 private:
  explicit StateWriter(OutputFile file) : file_(std::move(file)) {}

  OutputFile file_;
  StreamHash hash_;         // of the open section
  uint64_t n_missing_ = 0;  // bytes of the open section that are still to come
};

// Reads sections in order from a file in memory. Every Error names the file and the section.
class StateReader {
 public:
  // Checks magic, version and the number of sections. `name` stands for the file and must outlive
  // the reader.
  static Result<StateReader> open(std::span<const std::byte> bytes, const std::string& name,
                                  uint32_t n_sections);

  // The bytes of the next section, which must have this tag and a right checksum; `what` names it.
  Result<std::span<const std::byte>> section(uint32_t tag, std::string_view what);
  // The same, of exactly `n_bytes` bytes.
  Result<std::span<const std::byte>> section(uint32_t tag, std::string_view what, uint64_t n_bytes);
  // Nothing may follow the last section.
  Status finish() const;

 private:
  explicit StateReader(ByteReader bytes) : bytes_(bytes) {}

  ByteReader bytes_;
};

}  // namespace longhaul
