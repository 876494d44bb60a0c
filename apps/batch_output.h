// Where the results of `longhaul batch` go, as they come: a line each, and what an earlier run
// left.
#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "base/result.h"

namespace longhaul {

class BatchOutput {
 public:
  // Appends to a file; an empty path is standard output. Results that the file has are read back,
  // and a last line that was cut off is removed. Error: the file cannot be read, cut or written, or
  // one of its lines is no result; it is named.
  static Result<std::unique_ptr<BatchOutput>> open(const std::string& path);

  // True if the file had a result, not an error, for this sample when it was opened.
  bool has(const std::string& id, size_t index) const { return done_.count({id, index}) > 0; }
  // Writes a line, whole, at once. May be called by several threads.
  Status add(const nlohmann::ordered_json& record);

 private:
  explicit BatchOutput(std::string path) : path_(std::move(path)) {}
  Status read_back();

  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  std::string path_;
  File file_{nullptr, std::fclose};  // null: standard output
  std::mutex mutex_;
  std::set<std::pair<std::string, size_t>> done_;
};

}  // namespace longhaul
