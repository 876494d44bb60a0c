// Files of a folder: whole ones, of the size they should have, for their owner's eyes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "longhaul/result.h"

namespace longhaul {

// What a file of so many bytes takes on a disk with blocks of 4 KiB.
uint64_t disk_bytes(uint64_t n_bytes);
// Error: there is no such file, or it is of another size.
Result<std::vector<std::byte>> read_whole_file(const std::string& path, uint64_t n_bytes);
// At most the first n_bytes of a file.
Result<std::vector<std::byte>> read_file_head(const std::string& path, uint64_t n_bytes);
// The parts one behind the other, in a new file or instead of an old one.
Status write_whole_file(const std::string& path,
                        std::initializer_list<std::span<const std::byte>> parts);

}  // namespace longhaul
