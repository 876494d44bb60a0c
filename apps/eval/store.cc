#include "apps/eval/store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "apps/options.h"
#include "base/result.h"
#include "io/output_file.h"

namespace longhaul::eval {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

tl::unexpected<Error> io_error(const std::string& path, std::string_view what,
                               std::string_view why) {
  return make_error(ErrorCode::kIo, "{}: cannot {}: {}", path, what, why);
}

// The text of a file of the store; nothing where there is none yet.
Result<std::optional<std::string>> read_own(const std::string& path) {
  std::error_code error;
  const bool exists = fs::exists(path, error);
  if (error) return io_error(path, "look for it", error.message());
  if (!exists) return std::nullopt;
  auto text = read_text_file(path);
  if (!text) return make_error(ErrorCode::kIo, "{}", text.error().message);
  return std::move(*text);
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const Plan& plan) {
  std::unique_ptr<Store> store(new Store(plan.out));
  if (plan.out.empty()) return store;
  std::error_code error;
  fs::create_directories(plan.out, error);
  if (error) return io_error("--out " + plan.out, "make it", error.message());
  LH_RETURN_IF_ERROR(store->check_plan(plan));
  LH_RETURN_IF_ERROR(store->read_results());
  return store;
}

Status Store::check_plan(const Plan& plan) {
  const Json asked = to_json(plan);
  const std::string path = (fs::path(directory_) / "plan.json").string();
  LH_ASSIGN_OR_RETURN(const std::optional<std::string> text, read_own(path));
  if (!text) return write_file("plan.json", asked.dump(2) + "\n");
  const Json held = Json::parse(*text, nullptr, false);
  if (!held.is_object()) return bad_input("{}: expected a JSON object", path);
  Json names = held;  // and those asked for: an option may be in one of the two alone
  names.update(asked);
  for (const auto& [name, unused] : names.items()) {
    const Json was = held.value(name, Json());
    const Json is = asked.value(name, Json());
    if (was == is) continue;
    return bad_input("--out {}: it holds results for {} {}, asked for is {}", directory_, name,
                     was.dump(), is.dump());
  }
  return {};
}

Status Store::read_results() {
  const std::string path = (fs::path(directory_) / "results.jsonl").string();
  LH_ASSIGN_OR_RETURN(const std::optional<std::string> held, read_own(path));
  const std::string text = held.value_or("");
  const size_t n_whole = text.rfind('\n') + 1;  // a line that was cut off is done again
  size_t n_line = 0;
  for (size_t at = 0; at < n_whole;) {
    const size_t end = text.find('\n', at);
    ++n_line;
    auto record = parse_record(std::string_view(text).substr(at, end - at));
    if (!record) return bad_input("{}:{}: {}", path, n_line, record.error().message);
    if (done_.insert(record->key()).second) records_.push_back(std::move(*record));
    at = end + 1;
  }
  if (n_whole < text.size()) {
    std::error_code error;
    fs::resize_file(path, n_whole, error);
    if (error) return io_error(path, "cut off its torn last line", error.message());
  }
  results_.reset(std::fopen(path.c_str(), "ab"));
  if (!results_) return io_error(path, "write", std::strerror(errno));
  return {};
}

Status Store::add(const Record& record) {
  const std::string line = line_of(to_json(record));
  // Kept as the file has it, so that a run that was interrupted reports the same numbers.
  LH_ASSIGN_OR_RETURN(Record kept, parse_record(line));
  const std::lock_guard lock(mutex_);
  if (torn_) return io_error("--out " + directory_, "write", "an earlier record was cut off");
  if (results_) {
    torn_ = std::fwrite(line.data(), 1, line.size(), results_.get()) != line.size() ||
            std::fflush(results_.get()) != 0;
    if (torn_) return io_error("--out " + directory_, "write", std::strerror(errno));
  }
  done_.insert(kept.key());
  records_.push_back(std::move(kept));
  return {};
}

Status Store::write_file(const std::string& name, const std::string& text) const {
  if (directory_.empty()) return {};
  LH_ASSIGN_OR_RETURN(OutputFile file,
                      OutputFile::create((fs::path(directory_) / name).string(), text.size()));
  LH_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

}  // namespace longhaul::eval
