#include "state/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "base/rounding.h"
#include "kernels/kv_tile.h"
#include "state/paged_store.h"
#include "state/state_file.h"

namespace longhaul {
namespace {

constexpr size_t kOsPageBytes = 4096;

// Bytes of one (layer, KV head) of a store that a sequence with pages 0, 1, 2, ... touches.
size_t head_bytes(const StoreSpec& spec, const CacheConfig& config, size_t n_tokens) {
  const size_t n_full = n_tokens / config.page_tokens();
  const size_t n_units = spec.n_units(n_tokens % config.page_tokens());
  return round_up(n_full * spec.head_bytes() + n_units * spec.unit_bytes, kOsPageBytes);
}

// Finds what of the tiles is K, once their bytes are known.
void add_tiles(size_t n_bytes, const CacheConfig& config, StateBytes& bytes) {
  const size_t k_bytes = k_tile_bytes(config.k_type, config.key_dim);
  const size_t unit = k_bytes + v_tile_bytes(config.v_type, config.value_dim);
  const size_t keys = n_bytes / unit * k_bytes + n_bytes % unit * k_bytes / unit;  // no overflow
  bytes.keys += keys;
  bytes.values += n_bytes - keys;
}

// The bytes of a paged slot, where each store takes bytes_of(store).
template <class BytesOf>
StateBytes paged_bytes(const CacheConfig& config, BytesOf bytes_of) {
  StateBytes bytes;
  for (const StoreSpec& spec : store_specs(config)) {
    const size_t n_bytes = bytes_of(spec);
    if (spec.tag == section_tag("TILE")) {
      add_tiles(n_bytes, config, bytes);
    } else if (spec.unit_bytes > 0) {
      bytes.summaries.push_back({spec.name, n_bytes});
    }
  }
  return bytes;
}

StateBytes touched_bytes(const CacheConfig& config, size_t n_tokens) {
  return paged_bytes(config, [&](const StoreSpec& spec) {
    return config.n_layers * config.n_kv_heads * head_bytes(spec, config, n_tokens);
  });
}

// A number in a one-line file, or `otherwise`: the control group says "max" for no limit.
size_t read_number(const char* path, size_t otherwise) {
  std::ifstream in(path);
  size_t value = 0;
  return in >> value ? value : otherwise;
}

// What the control group still allows; page cache counts as used there although it can be dropped,
// so add it back.
size_t control_group_room() {
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  const size_t limit = read_number("/sys/fs/cgroup/memory.max", kNoLimit);
  if (limit == kNoLimit) return kNoLimit;
  size_t used = read_number("/sys/fs/cgroup/memory.current", 0);
  std::ifstream stat("/sys/fs/cgroup/memory.stat");
  std::string key;
  size_t value = 0;
  while (stat >> key >> value) {
    if (key == "inactive_file") used -= std::min(used, value);
  }
  return limit - std::min(limit, used);
}

}  // namespace

size_t StateBytes::summary(std::string_view name) const {
  for (const Named& named : summaries) {
    if (named.name == name) return named.bytes;
  }
  return 0;
}

size_t StateBytes::total() const {
  size_t n_bytes = keys + values + recurrent;
  for (const Named& named : summaries) n_bytes += named.bytes;
  return n_bytes;
}

StateBytes& StateBytes::operator+=(const StateBytes& other) {
  keys += other.keys;
  values += other.values;
  recurrent += other.recurrent;
  for (const Named& theirs : other.summaries) {
    const auto mine = std::find_if(summaries.begin(), summaries.end(),
                                   [&](const Named& n) { return n.name == theirs.name; });
    if (mine == summaries.end()) {
      summaries.push_back(theirs);
    } else {
      mine->bytes += theirs.bytes;
    }
  }
  return *this;
}

StateBytes bytes_per_token(std::span<const SlotConfig> slots) {
  StateBytes all;
  for (const SlotConfig& slot : slots) {
    const auto* config = std::get_if<CacheConfig>(&slot);
    if (config == nullptr || config->window > 0) continue;
    all += paged_bytes(*config, [&](const StoreSpec& spec) {
      const size_t page_bytes = config->n_layers * config->n_kv_heads * spec.head_bytes();
      return (page_bytes + config->page_tokens() - 1) / config->page_tokens();
    });
  }
  return all;
}

StateBytes bytes_for_tokens(std::span<const SlotConfig> slots, size_t n_tokens) {
  StateBytes all;
  for (const SlotConfig& slot : slots) {
    if (const auto* config = std::get_if<CacheConfig>(&slot)) {
      all += touched_bytes(*config, config->held_tokens(n_tokens));
    } else {
      all.recurrent += RecurrentState::bytes(std::get<RecurrentConfig>(slot));
    }
  }
  return all;
}

StateBytes bytes_when_full(std::span<const SlotConfig> slots) {
  StateBytes all;
  for (const SlotConfig& slot : slots) {
    if (const auto* config = std::get_if<CacheConfig>(&slot)) {
      all += touched_bytes(*config, config->max_tokens);
    } else {
      all.recurrent += RecurrentState::bytes(std::get<RecurrentConfig>(slot));
    }
  }
  return all;
}

size_t capacity_tokens(std::span<const SlotConfig> slots) {
  size_t capacity = size_t{1} << 31;
  for (const SlotConfig& slot : slots) {
    const auto* config = std::get_if<CacheConfig>(&slot);
    if (config == nullptr) continue;
    const size_t own = config->window == 0 ? config->max_tokens : config->max_positions;
    if (own > 0) capacity = std::min(capacity, own);
  }
  return capacity;
}

std::string describe_plan(const StateBytes& bytes, size_t n_tokens) {
  std::string parts =
      fmt::format("keys {}, values {}", format_bytes(bytes.keys), format_bytes(bytes.values));
  for (const auto& [name, n_bytes] : bytes.summaries)
    parts += fmt::format(", {} {}", name, format_bytes(n_bytes));
  if (bytes.recurrent > 0) parts += fmt::format(", recurrent {}", format_bytes(bytes.recurrent));
  return fmt::format("{} for {} tokens ({})", format_bytes(bytes.total()), n_tokens, parts);
}

Result<size_t> available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    size_t kib = 0;
    if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kib) == 1) {
      return std::min(kib * 1024, control_group_room());
    }
  }
  return make_error(ErrorCode::kIo, "/proc/meminfo: no line MemAvailable");
}

Status check_fits(std::span<const SlotConfig> slots, size_t available_bytes) {
  const StateBytes bytes = bytes_when_full(slots);
  if (bytes.total() <= available_bytes) return {};
  return make_error(ErrorCode::kOutOfMemory,
                    "the KV cache does not fit in memory: {}, but only {} are available; use a "
                    "smaller context or a smaller KV type",
                    describe_plan(bytes, capacity_tokens(slots)), format_bytes(available_bytes));
}

std::string format_bytes(size_t n_bytes) {
  constexpr size_t kMiB = size_t{1} << 20;
  constexpr size_t kGiB = size_t{1} << 30;
  const auto n = static_cast<double>(n_bytes);
  if (n_bytes >= kGiB) return fmt::format("{:.2f} GiB", n / static_cast<double>(kGiB));
  if (n_bytes >= kMiB) return fmt::format("{:.1f} MiB", n / static_cast<double>(kMiB));
  if (n_bytes >= 1024) return fmt::format("{:.1f} KiB", n / 1024);
  return fmt::format("{} bytes", n_bytes);
}

}  // namespace longhaul
