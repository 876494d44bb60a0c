#include "apps/batch_run.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/output.h"
#include "base/progress.h"
#include "base/result.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

Json record_of(const BatchRequest& request, size_t index, const GenerateResult& result) {
  return {{"id", Json::parse(request.id)},
          {"index", index},
          {"text", result.text},
          {"tokens", result.tokens},
          {"finish_reason", to_string(result.finish_reason)},
          {"usage",
           {{"prompt_tokens", result.prompt_tokens},
            {"completion_tokens", result.tokens.size()},
            {"total_tokens", result.prompt_tokens + result.tokens.size()}}},
          {"timings",
           {{"wait_s", result.timings.wait_s},
            {"prefill_s", result.timings.prefill_s},
            {"decode_s", result.timings.decode_s},
            {"decode_tokens_per_s", result.timings.decode_tokens_per_s()}}},
          {"attention", to_json(result.attention)}};
}

}  // namespace

Json batch_error(const std::string& id, size_t line, const Error& error) {
  return {{"id", Json::parse(id)}, {"line", line}, {"error", {{"message", error.message}}}};
}

Result<int> BatchRun::run(std::vector<BatchRequest>& requests, size_t n_parallel) {
  size_t n_samples = 0;
  for (BatchRequest& request : requests) {
    size_t n_left = 0;
    for (size_t i = 0; i < request.n; ++i) n_left += output_.has(request.id, i) ? 0 : 1;
    if (n_left > 0) waiting_.push_back(&request);
    n_samples += n_left;
  }
  ProgressBar bar("batch", n_samples);
  const Interrupt interrupt;
  std::vector<std::jthread> threads;
  n_working_ = std::min(n_parallel, n_samples);
  const size_t n_threads = n_working_;
  for (size_t i = 0; i < n_threads; ++i) threads.emplace_back([this] { work(); });
  std::unique_lock lock(mutex_);
  while (n_working_ > 0) {
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    bar.update(n_done_);
    if (interrupt.requested()) stop_.request_stop();
  }
  lock.unlock();
  threads.clear();
  bar.finish();
  LH_RETURN_IF_ERROR(failed_);
  if (stop_.stop_requested()) return make_error(ErrorCode::kCancelled, "stopped");
  return exit_status_;
}

// Samples of requests that were begun go before the next request, so that few prompts are held.
void BatchRun::work() {
  std::unique_lock lock(mutex_);
  while (!stop_.stop_requested()) {
    if (!samples_.empty()) {
      const Job job = std::move(samples_.front());
      samples_.pop_front();
      lock.unlock();
      sample(job);
      lock.lock();
    } else if (!waiting_.empty()) {
      BatchRequest& request = *waiting_.front();
      waiting_.pop_front();
      ++n_reading_;
      lock.unlock();
      begin(request);
      lock.lock();
      --n_reading_;
      changed_.notify_all();
    } else if (n_reading_ > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    } else {
      break;
    }
  }
  --n_working_;
  changed_.notify_all();
}

Status BatchRun::read_prompt(Line& line) {
  BatchRequest& batch = *line.request;
  GenerateRequest& request = batch.request;
  request.wait_for_room = true;
  request.cancel = stop_.get_token();
  if (batch.prompt) {
    LH_ASSIGN_OR_RETURN(request.prompt, engine_.tokenize(*batch.prompt, true, false));
  } else if (!batch.chat.messages.empty()) {
    LH_ASSIGN_OR_RETURN(request.prompt, engine_.tokenize_chat(batch.chat));
  } else {
    request.prompt = std::move(batch.tokens);
  }
  if (request.prompt.empty()) return bad_input("prompt: expected at least one token, found none");
  LH_ASSIGN_OR_RETURN(Session session, engine_.new_session());
  LH_ASSIGN_OR_RETURN(line.prompt, SharedPrompt::read(std::move(session), request, batch.n));
  return {};
}

void BatchRun::begin(BatchRequest& request) {
  const auto line = std::make_shared<Line>();
  line->request = &request;
  const Status read = read_prompt(*line);
  for (size_t i = 0; i < request.n; ++i) {
    if (output_.has(request.id, i)) continue;
    if (!read) {
      finish(request, i, tl::unexpected<Error>(read.error()));
      continue;
    }
    const std::lock_guard lock(mutex_);
    samples_.push_back({line, i});
    changed_.notify_all();
  }
}

void BatchRun::sample(const Job& job) {
  finish(*job.line->request, job.index, job.line->prompt->sample(job.index));
}

void BatchRun::finish(const BatchRequest& request, size_t index,
                      const Result<GenerateResult>& result) {
  const bool cancelled = result ? result->finish_reason == FinishReason::kCancelled
                                : result.error().code == ErrorCode::kCancelled;
  if (cancelled) return;
  const Status written =
      output_.add(result ? record_of(request, index, *result)
                         : batch_error(request.id, request.line, result.error()));
  const std::lock_guard lock(mutex_);
  if (!result) exit_status_ = std::max(exit_status_, exit_status(result.error().code));
  ++n_done_;
  changed_.notify_all();
  if (written) return;
  if (failed_) failed_ = tl::unexpected<Error>(written.error());
  stop_.request_stop();
}

}  // namespace longhaul
