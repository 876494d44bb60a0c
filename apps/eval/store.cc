#include "apps/eval/store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/options.h"

namespace longhaul::eval {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const Plan& plan) {
  std::unique_ptr<Store> store(new Store(plan.out));
  if (plan.out.empty()) return store;
  std::error_code error;
  fs::create_directories(plan.out, error);
  if (error) return bad_input("--out {}: cannot make it: {}", plan.out, error.message());
  LH_RETURN_IF_ERROR(store->check_plan(plan));
  LH_RETURN_IF_ERROR(store->read_results());
  return store;
}

Status Store::check_plan(const Plan& plan) {
  const Json asked = to_json(plan);
  const std::string path = (fs::path(directory_) / "plan.json").string();
  if (!fs::exists(path)) return write_file("plan.json", asked.dump(2) + "\n");
  LH_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  const Json held = Json::parse(text, nullptr, false);
  if (!held.is_object()) return bad_input("{}: expected a JSON object", path);
  for (const auto& [name, value] : asked.items()) {
    const Json other = held.value(name, Json());
    if (other == value) continue;
    return bad_input("--out {}: it holds results for {} {}, asked for is {}", directory_, name,
                     other.dump(), value.dump());
  }
  return {};
}

Status Store::read_results() {
  const std::string path = (fs::path(directory_) / "results.jsonl").string();
  std::string text;
  if (fs::exists(path)) {
    LH_ASSIGN_OR_RETURN(text, read_text_file(path));
  }
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
  std::error_code error;
  if (n_whole < text.size()) fs::resize_file(path, n_whole, error);
  results_.reset(std::fopen(path.c_str(), "ab"));
  if (!results_) return bad_input("{}: cannot write: {}", path, std::strerror(errno));
  return {};
}

Status Store::add(const Record& record) {
  const std::string line = line_of(to_json(record));
  // Kept as the file has it, so that a run that was interrupted reports the same numbers.
  LH_ASSIGN_OR_RETURN(Record kept, parse_record(line));
  const std::lock_guard lock(mutex_);
  done_.insert(kept.key());
  records_.push_back(std::move(kept));
  if (!results_) return {};
  const bool written = std::fwrite(line.data(), 1, line.size(), results_.get()) == line.size() &&
                       std::fflush(results_.get()) == 0;
  if (written) return {};
  return make_error(ErrorCode::kIo, "--out {}: cannot write: {}", directory_, std::strerror(errno));
}

Status Store::write_file(const std::string& name, const std::string& text) const {
  if (directory_.empty()) return {};
  const std::string path = (fs::path(directory_) / name).string();
  const File file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (file && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size()) return {};
  return make_error(ErrorCode::kIo, "{}: cannot write: {}", path, std::strerror(errno));
}

}  // namespace longhaul::eval
