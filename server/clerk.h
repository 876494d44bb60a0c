// A thread for what takes longer than the thread of the connections may be held up and is no text:
// reading bodies, encoding prompts. In the order of arrival.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace longhaul {

class Clerk {
 public:
  explicit Clerk(size_t max_waiting)
      : max_waiting_(max_waiting), thread_([this](std::stop_token stop) { work(stop); }) {}

  // False if too much waits already. Work that waits when the clerk goes is never done.
  bool submit(std::function<void()> work);

 private:
  void work(const std::stop_token& stop);

  const size_t max_waiting_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> waiting_;
  std::jthread thread_;  // the last one: it uses the others
};

}  // namespace longhaul
