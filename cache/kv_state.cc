// KvSequence::save and restore. Sections: CONF (the shapes and the length, u64 each), MODL (the
// model's id), TOKS (i32 ids), then one per saved store: [layer][kv head][unit], only the units in
// use, what lies behind the last token zeroed. Gate keys are computed anew: a state serves with any
// gates and without.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cache/kv_cache.h"
#include "cache/state_file.h"
#include "io/gguf_value.h"
#include "io/mapped_file.h"

namespace longhaul {
namespace {

constexpr uint32_t kConfigTag = section_tag("CONF");
constexpr uint32_t kModelTag = section_tag("MODL");
constexpr uint32_t kTokensTag = section_tag("TOKS");
constexpr uint32_t kSectionCount = 3 + kSavedStoreCount;

// The numbers by which KvType is written; a new type gets the next one.
static_assert(static_cast<int>(KvType::kF16) == 0 && static_cast<int>(KvType::kQ8_0) == 1);

struct Field {
  std::string_view name;
  uint64_t value;
};

// What must be equal in the file and in the cache that restores it.
std::array<Field, 6> config_fields(const CacheConfig& config) {
  return {{{"n_layers", config.n_layers},
           {"n_kv_heads", config.n_kv_heads},
           {"head_dim", config.head_dim},
           {"k_type", static_cast<uint64_t>(config.k_type)},
           {"v_type", static_cast<uint64_t>(config.v_type)},
           {"block_size", config.block_size}}};
}

using ConfigSection = std::array<uint64_t, 7>;  // the fields, then n_tokens

uint64_t store_bytes(const StoreSpec& spec, const CacheConfig& config, size_t n_tokens) {
  return config.n_layers * config.n_kv_heads * spec.n_units(n_tokens) * spec.unit_bytes;
}

// Zeroes what a partly used unit holds behind its first `n_used` tokens, so that equal sequences
// give equal files and forgotten tokens do not leak into them.
void blank_tail(StoreKind kind, const CacheConfig& config, size_t n_used, std::byte* unit) {
  const std::vector<float> zeros(config.head_dim, 0.0F);
  switch (kind) {
    case kTiles:
      for (size_t slot = n_used; slot < kTileTokens; ++slot) {
        write_k(config.k_type, unit, slot, zeros.data(), config.head_dim);
        write_v(config.v_type, unit + k_tile_bytes(config.k_type, config.head_dim), slot,
                zeros.data(), config.head_dim);
      }
      return;
    case kBounds: {
      const size_t n_blocks = (n_used + config.block_size - 1) / config.block_size;
      for (size_t lane = n_blocks; lane < kBoundsGroupBlocks; ++lane) {
        bounds_set(unit, lane, zeros.data(), zeros.data(), config.head_dim);
      }
      return;
    }
    case kGateKeys:
    case kStoreCount:
      break;
  }
  LH_CHECK(false);
}

// Calls visit(address, n_bytes) for the runs of units that `n_tokens` tokens use, in the order of
// the file.
template <class Visit>
Status for_each_run(const PagedStore& store, const CacheConfig& config,
                    std::span<const uint32_t> pages, size_t n_tokens, Visit visit) {
  const StoreSpec& spec = store.spec();
  for (size_t layer = 0; layer < config.n_layers; ++layer) {
    for (size_t head = 0; head < config.n_kv_heads; ++head) {
      size_t n_left = spec.n_units(n_tokens);
      for (const uint32_t page : pages) {
        const size_t n_units = std::min(n_left, spec.units_per_page);
        n_left -= n_units;
        LH_RETURN_IF_ERROR(visit(store.unit(layer, head, page, 0), n_units * spec.unit_bytes,
                                 /*ends_head=*/n_left == 0));
      }
    }
  }
  return {};
}

Status check_config(std::span<const std::byte> section, const CacheConfig& config,
                    const std::string& name, size_t& n_tokens) {
  ConfigSection found;
  std::memcpy(found.data(), section.data(), sizeof(found));
  const auto fields = config_fields(config);
  for (size_t i = 0; i < fields.size(); ++i) {
    if (found[i] == fields[i].value) continue;
    return bad_input("{}: saved with {} {}, but this cache has {}", name, fields[i].name, found[i],
                     fields[i].value);
  }
  n_tokens = found.back();
  if (n_tokens <= config.max_tokens) return {};
  return bad_input("{}: holds {} tokens, but this cache has room for {}", name, n_tokens,
                   config.max_tokens);
}

}  // namespace

Status KvSequence::save(const std::string& path, std::span<const int32_t> tokens,
                        std::string_view model_id) const {
  const CacheConfig& config = cache_->config_;
  if (tokens.size() != n_tokens_) {
    return bad_input("{}: not saved: {} token ids for a sequence of {} tokens", path, tokens.size(),
                     n_tokens_);
  }
  for (const uint32_t n_written : written_) {
    if (n_written == n_tokens_) continue;
    return bad_input("{}: not saved: a layer holds only {} of {} tokens", path, n_written,
                     n_tokens_);
  }
  ConfigSection section{};
  const auto fields = config_fields(config);
  for (size_t i = 0; i < fields.size(); ++i) section[i] = fields[i].value;
  section.back() = n_tokens_;

  uint64_t n_bytes = kStateFrameBytes + kSectionCount * kSectionFrameBytes + sizeof(section) +
                     model_id.size() + tokens.size_bytes();
  for (size_t kind = 0; kind < kSavedStoreCount; ++kind) {
    n_bytes += store_bytes(cache_->stores_[kind].spec(), config, n_tokens_);
  }
  LH_ASSIGN_OR_RETURN(StateWriter writer, StateWriter::create(path, kSectionCount, n_bytes));
  LH_RETURN_IF_ERROR(writer.write_section(kConfigTag, std::as_bytes(std::span(section))));
  LH_RETURN_IF_ERROR(writer.write_section(kModelTag, std::as_bytes(std::span(model_id))));
  LH_RETURN_IF_ERROR(writer.write_section(kTokensTag, std::as_bytes(tokens)));
  for (size_t kind = 0; kind < kSavedStoreCount; ++kind) {
    LH_RETURN_IF_ERROR(save_store(writer, static_cast<StoreKind>(kind)));
  }
  return writer.commit();
}

Status KvSequence::save_store(StateWriter& writer, StoreKind kind) const {
  const CacheConfig& config = cache_->config_;
  const PagedStore& store = cache_->stores_[kind];
  const StoreSpec& spec = store.spec();
  const size_t n_used_of_last = n_tokens_ % spec.unit_tokens;
  std::vector<std::byte> last(spec.unit_bytes);
  const auto write_run = [&](const std::byte* data, size_t n_bytes, bool ends_head) -> Status {
    if (!ends_head || n_used_of_last == 0) return writer.append({data, n_bytes});
    const size_t n_whole = n_bytes - spec.unit_bytes;
    LH_RETURN_IF_ERROR(writer.append({data, n_whole}));
    std::memcpy(last.data(), data + n_whole, spec.unit_bytes);
    blank_tail(kind, config, n_used_of_last, last.data());
    return writer.append(last);
  };
  LH_RETURN_IF_ERROR(writer.begin_section(spec.tag, store_bytes(spec, config, n_tokens_)));
  LH_RETURN_IF_ERROR(for_each_run(store, config, pages_, n_tokens_, write_run));
  return writer.end_section();
}

Result<RestoredState> KvSequence::restore(const std::string& path, std::string_view model_id) {
  LH_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  return restore_from(file.bytes(), path, model_id);
}

Result<RestoredState> KvSequence::restore_from(std::span<const std::byte> bytes,
                                               const std::string& name, std::string_view model_id) {
  const CacheConfig& config = cache_->config_;
  LH_ASSIGN_OR_RETURN(StateReader reader, StateReader::open(bytes, name, kSectionCount));
  LH_ASSIGN_OR_RETURN(const auto header,
                      reader.section(kConfigTag, "configuration", sizeof(ConfigSection)));
  RestoredState state;
  LH_RETURN_IF_ERROR(check_config(header, config, name, state.n_tokens));
  LH_ASSIGN_OR_RETURN(const auto saved_id, reader.section(kModelTag, "model id"));
  const std::string_view found(reinterpret_cast<const char*>(saved_id.data()), saved_id.size());
  if (found != model_id) {
    return bad_input("{}: saved with the model {}, but this is {}", name, quoted(found),
                     quoted(model_id));
  }
  LH_ASSIGN_OR_RETURN(const auto tokens,
                      reader.section(kTokensTag, "tokens", state.n_tokens * sizeof(int32_t)));
  std::array<std::span<const std::byte>, kSavedStoreCount> sections;
  for (size_t kind = 0; kind < kSavedStoreCount; ++kind) {
    const StoreSpec& spec = cache_->stores_[kind].spec();
    LH_ASSIGN_OR_RETURN(sections[kind], reader.section(spec.tag, spec.name,
                                                       store_bytes(spec, config, state.n_tokens)));
  }
  LH_RETURN_IF_ERROR(reader.finish());

  // The file is whole: only now is anything changed.
  KvSequence restored(*cache_);
  if (auto status = restored.prepare_write(0, state.n_tokens); !status) {
    return make_error(status.error().code, "{}: {}", name, status.error().message);
  }
  for (size_t kind = 0; kind < kSavedStoreCount; ++kind) {
    const std::byte* from = sections[kind].data();
    LH_RETURN_IF_ERROR(for_each_run(cache_->stores_[kind], config, restored.pages_, state.n_tokens,
                                    [&](std::byte* data, size_t n_bytes, bool) -> Status {
                                      std::memcpy(data, from, n_bytes);
                                      from += n_bytes;
                                      return {};
                                    }));
  }
  for (size_t i = 0; i < config.n_layers * config.n_kv_heads; ++i) {
    restored.update_gate_keys(i / config.n_kv_heads, i % config.n_kv_heads, 0, state.n_tokens, 0);
  }
  std::fill(restored.written_.begin(), restored.written_.end(),
            static_cast<uint32_t>(state.n_tokens));
  state.tokens.resize(state.n_tokens);
  if (!tokens.empty()) std::memcpy(state.tokens.data(), tokens.data(), tokens.size());
  *this = std::move(restored);
  return state;
}

}  // namespace longhaul
