// Where the tests find the vocabularies and vectors that are not part of the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace longhaul {

// LONGHAUL_SHARED from the environment, or the folder beside the source tree; may not exist.
inline std::filesystem::path tokenizer_data_dir() {
  const char* shared = std::getenv("LONGHAUL_SHARED");
  const std::filesystem::path root =
      shared != nullptr ? std::filesystem::path(shared)
                        : std::filesystem::path(LONGHAUL_SOURCE_DIR) / ".." / "shared";
  return root / "data" / "tokenizers";
}

}  // namespace longhaul
