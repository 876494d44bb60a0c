// Where results go as they come, and from where an interrupted run goes on.
#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "apps/eval/record.h"

namespace longhaul::eval {

// The directory of --out: plan.json says what is asked, results.jsonl has a record a line. Without
// a directory records are only held. add() may be called by several threads.
class Store {
 public:
  // Makes the directory, or reads what an earlier run of the same plan left there; a last line
  // that was cut off is dropped. Error: the directory holds another plan (the first option that
  // differs is named with both values); kIo where it cannot be read or written.
  static Result<std::unique_ptr<Store>> open(const Plan& plan);

  bool has(const std::string& key) const { return done_.count(key) > 0; }  // of a record
  // Once a record could not be written whole none is added: it would stand behind half a line.
  Status add(const Record& record);
  const std::vector<Record>& records() const { return records_; }
  // Writes a file beside the results whole, replacing an old one, or not at all. Errors are kIo.
  Status write_file(const std::string& name, const std::string& text) const;

 private:
  explicit Store(std::string directory) : directory_(std::move(directory)) {}
  Status check_plan(const Plan& plan);
  Status read_results();

  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  std::string directory_;  // empty: nothing is written
  File results_{nullptr, std::fclose};
  bool torn_ = false;  // the file ends in a part of a line
  std::mutex mutex_;
  std::vector<Record> records_;
  std::set<std::string> done_;  // keys of records_
};

}  // namespace longhaul::eval
