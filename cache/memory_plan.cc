#include "cache/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <numeric>

namespace longhaul {
namespace {

constexpr size_t kOsPageBytes = 4096;

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Bytes of one (layer, KV head) of a store that a sequence with pages 0, 1, 2, ... touches.
size_t head_bytes(const StoreSpec& spec, const CacheConfig& config, size_t n_tokens) {
  const size_t n_full = n_tokens / config.page_tokens();
  const size_t n_units = spec.n_units(n_tokens % config.page_tokens());
  return round_up(n_full * spec.head_bytes() + n_units * spec.unit_bytes, kOsPageBytes);
}

// Finds what of the tiles is K, once their bytes are known.
CacheBytes with_keys(CacheBytes bytes, const CacheConfig& config) {
  const size_t k_bytes = k_tile_bytes(config.k_type, config.head_dim);
  const size_t unit = k_bytes + v_tile_bytes(config.v_type, config.head_dim);
  const size_t all = bytes.by_store[kTiles];
  bytes.n_key_bytes = all / unit * k_bytes + all % unit * k_bytes / unit;  // cannot overflow
  return bytes;
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

size_t CacheBytes::total() const {
  return std::accumulate(by_store.begin(), by_store.end(), size_t{0});
}

CacheBytes bytes_per_token(const CacheConfig& config) {
  CacheBytes bytes;
  const StoreSpecs specs = store_specs(config);
  for (size_t i = 0; i < kStoreCount; ++i) {
    const size_t page_bytes = config.n_layers * config.n_kv_heads * specs[i].head_bytes();
    bytes.by_store[i] = (page_bytes + config.page_tokens() - 1) / config.page_tokens();
  }
  return with_keys(bytes, config);
}

CacheBytes bytes_for_tokens(const CacheConfig& config, size_t n_tokens) {
  CacheBytes bytes;
  const StoreSpecs specs = store_specs(config);
  for (size_t i = 0; i < kStoreCount; ++i) {
    bytes.by_store[i] =
        config.n_layers * config.n_kv_heads * head_bytes(specs[i], config, n_tokens);
  }
  return with_keys(bytes, config);
}

std::string describe_plan(const CacheConfig& config, size_t n_tokens) {
  const CacheBytes bytes = bytes_for_tokens(config, n_tokens);
  const StoreSpecs specs = store_specs(config);
  std::string parts =
      fmt::format("keys {}, values {}", format_bytes(bytes.keys()), format_bytes(bytes.values()));
  for (size_t i = kTiles + 1; i < kStoreCount; ++i) {
    if (specs[i].unit_bytes == 0) continue;
    parts += fmt::format(", {} {}", specs[i].name, format_bytes(bytes.by_store[i]));
  }
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

Status check_fits(const CacheConfig& config, size_t available_bytes) {
  if (bytes_for_tokens(config, config.max_tokens).total() <= available_bytes) return {};
  return make_error(ErrorCode::kOutOfMemory,
                    "the KV cache does not fit in memory: {}, but only {} are available; use a "
                    "smaller context or a smaller KV type",
                    describe_plan(config, config.max_tokens), format_bytes(available_bytes));
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
