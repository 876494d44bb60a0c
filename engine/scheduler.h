// Who runs when: the texts of all threads, in passes together. Every caller's thread waits here
// until its text is over; one of them at a time drives a pass for all. There is no thread of its
// own and no busy waiting.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine/packer.h"
#include "engine/run.h"
#include "state/sequence_state.h"

namespace longhaul {

class Scheduler {
 public:
  Scheduler(Model& model, const StatePool& states) : states_(states), packer_(model) {}

  // Runs a text to its end; returns its status. A text begins once the cache has room for all it
  // may become, beside what is promised to the texts that run; those that wait begin in their
  // order. One that does not fit while no text runs is refused with the counts, unless it waits for
  // room however long. The callbacks of a text are called by its own thread, between passes; the
  // others wait for them, but not long.
  Status run(Run& run);

  // While it lives no pass runs and nothing else changes the cache.
  class Alone {
   public:
    explicit Alone(Scheduler& scheduler);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

    // Error if so many pages were taken meanwhile that a text that runs may not get all it was
    // promised: then they must be given back.
    Status check_promises() const;

   private:
    Scheduler& scheduler_;
  };

  // Looks again at who is to be cancelled.
  void wake();

 private:
  enum class Phase : uint8_t {
    kWaiting,     // for room
    kReady,       // for the next pass
    kDelivering,  // its thread calls its callbacks
    kDelivered,   // what they decided is to be done
    kOver,
  };
  struct Entry;
  class Membership;
  using Lock = std::unique_lock<std::mutex>;

  bool may_drive();
  void drive(Lock& lock);
  void deliver(Entry& entry, Lock& lock);
  void wait(Entry& entry, Lock& lock);
  void cancel_and_settle();
  void admit();
  void after_pass(Entry& entry);
  void hand_over();
  bool any(Phase phase) const;
  size_t pages_wanted(const Run& run) const;
  size_t pages_promised() const;
  Error no_room(const Run& run, size_t n_free, size_t n_promised) const;

  const StatePool& states_;
  Packer packer_;
  std::mutex mutex_;  // guards all below; and the entries, unless a pass or a delivery has them
  std::vector<Entry*> entries_;  // in order of arrival
  bool is_busy_ = false;         // a pass runs, or an Alone lives
  size_t n_alone_ = 0;           // threads that want an Alone; no pass begins before they had it
  std::condition_variable alone_;
  std::vector<Run*> ready_;  // of the pass that runs
};

}  // namespace longhaul
