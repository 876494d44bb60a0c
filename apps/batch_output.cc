#include "apps/batch_output.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/options.h"
#include "apps/output_target.h"
#include "base/result.h"

namespace longhaul {
namespace {

tl::unexpected<Error> io_error(const std::string& path, std::string_view what, int code) {
  return make_error(ErrorCode::kIo, "{}: cannot {}: {}", path, what, std::strerror(code));
}

}  // namespace

Result<std::unique_ptr<BatchOutput>> BatchOutput::open(const std::string& path) {
  auto output = std::unique_ptr<BatchOutput>(new BatchOutput(path));
  if (path.empty()) return output;
  LH_ASSIGN_OR_RETURN(output->path_, output_target("--output", path));
  LH_RETURN_IF_ERROR(output->read_back());
  output->file_.reset(std::fopen(output->path_.c_str(), "ab"));
  if (!output->file_) return io_error(path, "write", errno);
  return output;
}

Status BatchOutput::read_back() {
  if (!std::filesystem::exists(path_)) return {};
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path_));
  size_t first = 0;
  for (size_t line = 1; first < text.size(); ++line) {
    const size_t end = text.find('\n', first);
    if (end == std::string::npos) break;
    const auto record = nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(first),
                                              text.begin() + static_cast<std::ptrdiff_t>(end),
                                              nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || !record.contains("id")) {
      return bad_input("{}: line {}: expected a result of an earlier run, found {}", path_, line,
                       text.substr(first, std::min<size_t>(end - first, 60)));
    }
    if (!record.contains("error")) {
      const auto id = record["id"].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      const bool has_index = record.contains("index") && record["index"].is_number_unsigned();
      done_.emplace(id, has_index ? record["index"].get<size_t>() : 0);
    }
    first = end + 1;
  }
  if (first == text.size()) return {};
  std::error_code error;
  std::filesystem::resize_file(path_, first, error);
  if (error) return io_error(path_, "cut a torn last line off", error.value());
  return {};
}

Status BatchOutput::add(const nlohmann::ordered_json& record) {
  const std::string line =
      record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  const std::lock_guard lock(mutex_);
  std::FILE* file = file_ ? file_.get() : stdout;
  if (std::fwrite(line.data(), 1, line.size(), file) == line.size() && std::fflush(file) == 0) {
    return {};
  }
  return io_error(path_.empty() ? "standard output" : path_, "write", errno);
}

}  // namespace longhaul
