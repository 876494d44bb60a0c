#include "apps/bundled_model.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace longhaul {

Result<std::string> find_bundled_model() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path tree = program.parent_path().parent_path().parent_path().parent_path();
  for (const fs::path& folder : {fs::path("models"), tree / "models"}) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const bool is_gates = entry.path().stem().string().find("-gates-") != std::string::npos;
      if (entry.path().extension() == ".gguf" && !is_gates) found.push_back(entry.path().string());
    }
    if (!found.empty()) return *std::min_element(found.begin(), found.end());
  }
  return bad_input("--model: expected a GGUF file, found none in models/ nor in {}",
                   (tree / "models").string());
}

}  // namespace longhaul
