// A fixed set of threads that run one operation at a time (fork, join). Which thread runs a task
// never changes its result: tasks are numbered, write to places of their own, and anything they
// reduce is merged in the order of their numbers by the caller.
#pragma once

#include <cstddef>
#include <memory>

#include "base/function_ref.h"

namespace longhaul {

class ThreadPool {
 public:
  // Starts n_threads - 1 threads; the caller of run() is the remaining one. n_threads >= 1.
  explicit ThreadPool(size_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t n_threads() const { return n_threads_; }

  // Calls task(i, worker) once for every i in [0, n_tasks), worker in [0, n_threads); returns when
  // all are done. Tasks are handed out in order, one at a time. Must not be called from inside a
  // task, nor by two threads at once. Allocates nothing.
  void run(size_t n_tasks, FunctionRef<void(size_t task, size_t worker)> task);

 private:
  struct State;
  size_t n_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul
