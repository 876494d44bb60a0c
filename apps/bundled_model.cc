#include "apps/bundled_model.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace longhaul {

Result<std::string> find_bundled_model() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path bin = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path installed = bin.parent_path() / "share" / "longhaul";
  const fs::path tree = bin.parent_path().parent_path().parent_path() / "models";
  for (const fs::path& folder : {installed, tree, fs::path("models")}) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const bool is_gates = entry.path().stem().string().find("-gates-") != std::string::npos;
      if (entry.path().extension() == ".gguf" && !is_gates) found.push_back(entry.path().string());
    }
    if (!found.empty()) return *std::min_element(found.begin(), found.end());
  }
  return bad_input("--model: expected a GGUF file, found none in {}, {} nor models/",
                   installed.string(), tree.string());
}

}  // namespace longhaul
