#include "apps/output_target.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace longhaul {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as the system follows

std::string_view type_name(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "a device";
  }
}

// The end of a chain of links; the last one may name what does not exist yet.
Result<fs::path> follow_links(const std::string& name, const std::string& path) {
  fs::path target = path;
  std::error_code error;
  for (int n_links = 0; fs::is_symlink(fs::symlink_status(target, error)); ++n_links) {
    if (n_links == kMostLinks)
      return bad_input("{} {}: expected a file, found links in a circle", name, path);
    target = target.parent_path() / fs::read_symlink(target, error);
  }
  return target;
}

}  // namespace

Result<std::string> output_target(const std::string& name, const std::string& path) {
  if (path.empty()) return bad_input("{}: expected the name of a file, found none", name);
  LH_ASSIGN_OR_RETURN(const fs::path target, follow_links(name, path));
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return bad_input("{} {}: expected a file or a name that is free, found {}", name, path,
                     type_name(status.type()));
  }
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error))
    return make_error(ErrorCode::kIo, "{} {}: no such folder: {}", name, path, folder.string());
  // What is written goes beside it first and then takes its name.
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return make_error(ErrorCode::kIo, "{} {}: cannot write in {}: {}", name, path, folder.string(),
                      std::generic_category().message(errno));
  }
  return target.string();
}

}  // namespace longhaul
