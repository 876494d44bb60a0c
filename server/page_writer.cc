#include "server/page_writer.h"

#include <algorithm>
#include <utility>

namespace longhaul {

PageWriter::PageWriter(PageStore& store, Options options)
    : store_(store), options_(std::move(options)), thread_([this] { work(); }) {}

void PageWriter::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    ends_at_ = Clock::now() + options_.grace;
  }
  changed_.notify_all();
  thread_.join();
}

// Whether all pages of a job are pages of another one: a name stands for all before it.
bool PageWriter::covers(const Job& longer, const Job& job) {
  return longer.pages.size() >= job.pages.size() &&
         longer.pages[job.pages.size() - 1] == job.pages.back();
}

// Counts what is neither there nor will be.
void PageWriter::drop(const Job& job, size_t first) {
  if (std::any_of(waiting_.begin(), waiting_.end(),
                  [&](const Job& other) { return covers(other, job); }))
    return;
  for (size_t i = first; i < job.pages.size(); ++i)
    n_dropped_ += store_.n_there({&job.pages[i], 1}) == 0 ? 1 : 0;
}

void PageWriter::offer(uint64_t text, std::vector<PageKey> pages,
                       const std::vector<uint64_t>& gone) {
  {
    const std::lock_guard lock(mutex_);
    Job job{text, std::move(pages)};
    std::deque<Job> stale;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      const bool is_gone = std::find(gone.begin(), gone.end(), it->text) != gone.end();
      if (!is_gone) {
        ++it;
        continue;
      }
      n_waiting_ -= it->pages.size();
      stale.push_back(std::move(*it));
      it = waiting_.erase(it);
    }
    if (!job.pages.empty()) {
      if (n_waiting_ + job.pages.size() <= options_.max_waiting) {
        n_waiting_ += job.pages.size();
        waiting_.push_back(std::move(job));
      } else {
        drop(job, 0);
      }
    }
    for (const Job& old : stale) drop(old, 0);
  }
  changed_.notify_all();
  options_.on_change();
}

void PageWriter::forget_all() {
  {
    const std::lock_guard lock(mutex_);
    const std::deque<Job> stale = std::exchange(waiting_, {});
    for (const Job& job : stale) {
      n_waiting_ -= job.pages.size();
      drop(job, 0);
    }
  }
  options_.on_change();
}

PageWriter::Counts PageWriter::counts() const {
  const std::lock_guard lock(mutex_);
  return {n_waiting_, n_written_, n_dropped_};
}

bool PageWriter::is_too_late() {
  const std::lock_guard lock(mutex_);
  return is_ending_ && Clock::now() >= ends_at_;
}

void PageWriter::work() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    write(job);
    store_.flush();
    {
      const std::lock_guard lock(mutex_);
      n_waiting_ -= job.pages.size();
    }
    options_.on_change();
  }
}

void PageWriter::write(const Job& job) {
  const uint64_t now = store_.use(job.pages);
  for (size_t i = 0; i < job.pages.size(); ++i) {
    const PageKey& key = job.pages[i];
    if (store_.n_there({&key, 1}) == 1) continue;
    auto outcome = PageStore::Write::kFailed;
    if (!is_too_late()) {
      const auto payload = options_.source(job.text, i);
      if (payload) outcome = store_.write(key, i * kPageTokens, *payload, now);
    }
    const std::lock_guard lock(mutex_);
    if (outcome == PageStore::Write::kWritten) ++n_written_;
    if (outcome == PageStore::Write::kWritten || outcome == PageStore::Write::kThere) continue;
    // What lies behind a page that is missing is of no use.
    drop(job, i);
    return;
  }
}

}  // namespace longhaul
