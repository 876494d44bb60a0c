#include "state/recurrent.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

AlignedBuffer<float> copy_of(std::span<const float> from) {
  AlignedBuffer<float> to(from.size());
  std::copy(from.begin(), from.end(), to.data());
  return to;
}

}  // namespace

Status validate(const RecurrentConfig& config) {
  constexpr size_t kMost = size_t{1} << 30;
  if (config.n_layers == 0 || config.n_layers > 1024) {
    return bad_input("recurrent state: n_layers must lie between 1 and 1024, found {}",
                     config.n_layers);
  }
  if (config.n_floats == 0 || config.n_floats > kMost / config.n_layers) {
    return bad_input("recurrent state: {} layers of {} numbers: at most {} together",
                     config.n_layers, config.n_floats, kMost);
  }
  return {};
}

RecurrentState::RecurrentState(const RecurrentConfig& config)
    : config_(config), floats_(config.n_layers * config.n_floats) {
  std::fill_n(floats_.data(), floats_.size(), 0.0F);
}

std::span<float> RecurrentState::layer(size_t index) {
  LH_CHECK(index < config_.n_layers);
  return floats_.span().subspan(index * config_.n_floats, config_.n_floats);
}

std::span<const float> RecurrentState::layer(size_t index) const {
  LH_CHECK(index < config_.n_layers);
  return floats_.span().subspan(index * config_.n_floats, config_.n_floats);
}

void RecurrentState::mark() {
  if (n_tokens_ == 0 || config_.n_snapshots == 0) return;  // zero is always reachable
  if (!snapshots_.empty() && snapshots_.back().n_tokens == n_tokens_) return;
  Snapshot snapshot;
  if (snapshots_.size() == config_.n_snapshots) {  // the oldest one's memory serves again
    snapshot = std::move(snapshots_.front());
    snapshots_.erase(snapshots_.begin());
    std::copy_n(floats_.data(), floats_.size(), snapshot.floats.data());
  } else {
    snapshot.floats = copy_of(floats_.span());
  }
  snapshot.n_tokens = n_tokens_;
  snapshots_.push_back(std::move(snapshot));
}

size_t RecurrentState::reachable(size_t n) const {
  if (n >= n_tokens_) return n_tokens_;
  size_t best = 0;
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.n_tokens <= n) best = snapshot.n_tokens;
  }
  return best;
}

void RecurrentState::rewind(size_t n_tokens) {
  LH_CHECK(reachable(n_tokens) == n_tokens);
  if (n_tokens == n_tokens_) return;
  while (!snapshots_.empty() && snapshots_.back().n_tokens > n_tokens) snapshots_.pop_back();
  if (n_tokens == 0) {
    std::fill_n(floats_.data(), floats_.size(), 0.0F);
  } else {
    std::copy_n(snapshots_.back().floats.data(), floats_.size(), floats_.data());
  }
  n_tokens_ = n_tokens;
}

RecurrentState RecurrentState::fork() const {
  RecurrentState copy(config_);
  copy.assign(floats_.span(), n_tokens_);
  for (const Snapshot& snapshot : snapshots_)
    copy.snapshots_.push_back({snapshot.n_tokens, copy_of(snapshot.floats.span())});
  return copy;
}

void RecurrentState::assign(std::span<const float> floats, size_t n_tokens) {
  LH_CHECK(floats.size() == floats_.size());
  std::copy(floats.begin(), floats.end(), floats_.data());
  n_tokens_ = n_tokens;
  snapshots_.clear();
}

size_t RecurrentState::bytes(const RecurrentConfig& config) {
  return (1 + config.n_snapshots) * config.n_layers * config.n_floats * sizeof(float);
}

}  // namespace longhaul
