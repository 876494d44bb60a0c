// Runs the requests of `longhaul batch`, several texts at once on one engine.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "apps/batch_output.h"
#include "apps/batch_request.h"
#include "apps/interrupt.h"
#include "apps/samples.h"

namespace longhaul {

class BatchRun {
 public:
  BatchRun(Engine& engine, BatchOutput& output) : engine_(engine), output_(output) {}

  // Writes a result, or an error, for every sample that the output does not have. Returns the exit
  // status: 0, or that of the gravest error of a request. Error: Ctrl-C, or nothing can be written.
  Result<int> run(std::vector<BatchRequest>& requests, size_t n_parallel);

 private:
  // A request whose samples are being taken.
  struct Line {
    BatchRequest* request = nullptr;
    std::unique_ptr<SharedPrompt> prompt;
  };
  struct Job {
    std::shared_ptr<Line> line;
    size_t index = 0;
  };

  void work();
  // Reads the prompt of a request and queues its samples.
  void begin(BatchRequest& request);
  Status read_prompt(Line& line);
  void sample(const Job& job);
  void finish(const BatchRequest& request, size_t index, const Result<GenerateResult>& result);

  Engine& engine_;
  BatchOutput& output_;
  std::stop_source stop_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<BatchRequest*> waiting_;
  std::deque<Job> samples_;
  size_t n_reading_ = 0;  // requests whose samples are not queued yet
  size_t n_working_ = 0;  // threads
  size_t n_done_ = 0;     // samples
  int exit_status_ = 0;
  Status failed_;
};

// The line of an error: `id` as JSON.
nlohmann::ordered_json batch_error(const std::string& id, size_t line, const Error& error);

}  // namespace longhaul
