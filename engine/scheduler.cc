#include "engine/scheduler.h"

#include <algorithm>
#include <chrono>

#include "base/rounding.h"

namespace longhaul {
namespace {

// How long a pass waits for callbacks to return. A text whose caller takes longer misses passes.
constexpr auto kGrace = std::chrono::milliseconds(5);

}  // namespace

struct Scheduler::Entry {
  explicit Entry(Run& its_run) : run(its_run) {}

  void become(Phase next) {
    phase = next;
    wake.notify_one();
  }

  Run& run;
  Phase phase = Phase::kWaiting;
  bool is_late = false;  // its callbacks take so long that passes go on without it
  std::condition_variable wake;
};

// A run's place in the list, until its thread leaves, be it by an exception of a callback.
class Scheduler::Membership {
 public:
  Membership(Scheduler& scheduler, Entry& entry, Lock& lock)
      : scheduler_(scheduler), entry_(entry), lock_(lock) {
    scheduler_.entries_.push_back(&entry_);
  }
  ~Membership() {
    if (!lock_.owns_lock()) lock_.lock();
    if (entry_.phase != Phase::kOver) {
      ++scheduler_.n_alone_;
      scheduler_.alone_.wait(lock_, [&] { return !scheduler_.is_busy_; });
      --scheduler_.n_alone_;
      entry_.run.cancel();
    }
    std::erase(scheduler_.entries_, &entry_);
    scheduler_.hand_over();
  }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

 private:
  Scheduler& scheduler_;
  Entry& entry_;
  Lock& lock_;
};

Scheduler::Alone::Alone(Scheduler& scheduler) : scheduler_(scheduler) {
  Lock lock(scheduler_.mutex_);
  ++scheduler_.n_alone_;
  scheduler_.alone_.wait(lock, [&] { return !scheduler_.is_busy_; });
  --scheduler_.n_alone_;
  scheduler_.is_busy_ = true;
}

Scheduler::Alone::~Alone() {
  const Lock lock(scheduler_.mutex_);
  scheduler_.is_busy_ = false;
  scheduler_.hand_over();
}

Status Scheduler::Alone::check_promises() const {
  const Lock lock(scheduler_.mutex_);
  const size_t n_free = scheduler_.states_.usage().pages_free;
  const size_t n_promised = scheduler_.pages_promised();
  if (n_promised <= n_free) return {};
  return make_error(
      ErrorCode::kOutOfMemory,
      "the KV cache is full: {} pages too many, beside the {} promised to texts that run",
      n_promised - n_free, n_promised);
}

Status Scheduler::run(Run& run) {
  Lock lock(mutex_);
  Entry entry(run);
  const Membership membership(*this, entry, lock);
  while (entry.phase != Phase::kOver) {
    if (entry.phase == Phase::kDelivering) {
      deliver(entry, lock);
      continue;
    }
    const bool drives = may_drive();
    if (entry.phase == Phase::kOver) break;
    drives ? drive(lock) : wait(entry, lock);
  }
  return run.status();
}

void Scheduler::wake() {
  const Lock lock(mutex_);
  hand_over();
}

bool Scheduler::any(Phase phase) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [phase](const Entry* entry) { return entry->phase == phase; });
}

// True if a pass may begin now; does first what can only be done between passes.
bool Scheduler::may_drive() {
  if (is_busy_ || n_alone_ > 0) return false;
  cancel_and_settle();
  admit();
  const bool must_wait = std::any_of(entries_.begin(), entries_.end(), [](const Entry* entry) {
    return entry->phase == Phase::kDelivering && !entry->is_late;
  });
  return !must_wait && any(Phase::kReady);
}

void Scheduler::cancel_and_settle() {
  for (Entry* entry : entries_) {
    if (entry->phase == Phase::kDelivered) {
      entry->run.settle();
      entry->become(entry->run.is_over() ? Phase::kOver : Phase::kReady);
    }
    if ((entry->phase == Phase::kReady || entry->phase == Phase::kWaiting) &&
        entry->run.wants_cancel()) {
      entry->run.cancel();
      entry->become(Phase::kOver);
    }
  }
}

// Pages that a text may still take; those it holds already are not counted.
size_t Scheduler::pages_wanted(const Run& run) const {
  const size_t page_tokens = states_.usage().page_tokens;
  return ceil_div(run.end(), page_tokens) -
         ceil_div(std::min(run.text().n_cached(), run.end()), page_tokens);
}

Error Scheduler::no_room(const Run& run, size_t n_free, size_t n_promised) const {
  const CacheUsage usage = states_.usage();
  return {ErrorCode::kOutOfMemory,
          fmt::format(
              "the KV cache is full: a text that may reach {} tokens needs {} more pages of "
              "{} tokens, {} of {} are free, {} of them promised to texts that run",
              run.end(), pages_wanted(run), usage.page_tokens, n_free, usage.pages, n_promised)};
}

// What the texts that have begun may still take.
size_t Scheduler::pages_promised() const {
  size_t n = 0;
  for (const Entry* entry : entries_) {
    if (entry->phase != Phase::kWaiting && entry->phase != Phase::kOver)
      n += pages_wanted(entry->run);
  }
  return n;
}

void Scheduler::admit() {
  if (!any(Phase::kWaiting)) return;
  size_t n_promised = pages_promised();
  bool any_runs = any(Phase::kReady) || any(Phase::kDelivering) || any(Phase::kDelivered);
  for (Entry* entry : entries_) {
    if (entry->phase != Phase::kWaiting) continue;
    Run& run = entry->run;
    const size_t n_free = states_.usage().pages_free;
    const size_t n_wanted = pages_wanted(run);
    if (n_promised + n_wanted <= n_free) {
      run.begin();
      n_promised += pages_wanted(run);
      any_runs = true;
      entry->phase = Phase::kReady;
      if (run.is_over()) after_pass(*entry);  // it was given all that it may say
    } else if (any_runs) {
      return;  // those behind it wait too, or it might wait for ever
    } else if (!run.waits_for_room()) {
      run.refuse(no_room(run, n_free, n_promised));
      entry->become(Phase::kOver);
    }
  }
}

void Scheduler::drive(Lock& lock) {
  ready_.clear();
  for (Entry* entry : entries_) {
    if (entry->phase == Phase::kReady) ready_.push_back(&entry->run);
  }
  is_busy_ = true;
  {
    struct Relock {
      Scheduler& scheduler;
      Lock& lock;
      ~Relock() {
        lock.lock();
        scheduler.is_busy_ = false;
        if (scheduler.n_alone_ > 0) scheduler.alone_.notify_one();
      }
    } const relock{*this, lock};
    lock.unlock();
    packer_.run(ready_);
    for (Run* run : packer_.ran()) {
      if (run->is_over() || run->has_callbacks() || !run->has_news()) continue;
      run->deliver();
      run->settle();
    }
  }
  for (Entry* entry : entries_) {
    if (entry->phase == Phase::kReady) after_pass(*entry);
  }
}

// A run that failed has news too: what was final by then.
void Scheduler::after_pass(Entry& entry) {
  if (entry.run.has_news()) {
    entry.become(Phase::kDelivering);
  } else if (entry.run.is_over()) {
    entry.become(Phase::kOver);
  }
}

void Scheduler::deliver(Entry& entry, Lock& lock) {
  hand_over();
  lock.unlock();
  entry.run.deliver();
  lock.lock();
  entry.is_late = false;
  entry.phase = Phase::kDelivered;
}

void Scheduler::wait(Entry& entry, Lock& lock) {
  if (entry.phase == Phase::kOver || entry.phase == Phase::kDelivering) return;
  const bool only_deliveries = !is_busy_ && n_alone_ == 0 && any(Phase::kReady);
  if (!only_deliveries) {
    entry.wake.wait(lock);
  } else if (entry.wake.wait_for(lock, kGrace) == std::cv_status::timeout && !is_busy_) {
    for (Entry* other : entries_) other->is_late |= other->phase == Phase::kDelivering;
  }
}

// Somebody else's turn: this thread will not drive the next pass.
void Scheduler::hand_over() {
  if (is_busy_) return;
  if (n_alone_ > 0) {
    alone_.notify_one();
    return;
  }
  for (Entry* entry : entries_) {
    if (entry->phase == Phase::kDelivering || entry->phase == Phase::kOver) continue;
    entry->wake.notify_one();
    return;
  }
}

}  // namespace longhaul
