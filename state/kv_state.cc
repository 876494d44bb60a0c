// The sections of a paged slot in a state file, one per saved store: [layer][kv head][unit], only
// the units in use, what lies behind the last token blanked. Of a window only what the next query
// may see. Summaries without a tag are set anew: a state serves with any gates and without.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "state/kv_cache.h"
#include "state/state_file.h"

namespace longhaul {
namespace {

bool is_saved(const PagedStore& store) { return store.spec().tag != 0; }

// Zeroes what a partly used unit holds behind its first `n_used` tokens, so that equal sequences
// give equal files and forgotten tokens do not leak into them.
void blank_tail(const StoreSpec& spec, const CacheConfig& config, size_t n_used, std::byte* unit) {
  if (spec.summary != nullptr) {
    spec.summary->blank(unit, n_used, config.block_size);
    return;
  }
  const std::vector<float> zeros(std::max(config.key_dim, config.value_dim), 0.0F);
  std::byte* const v_tile = unit + k_tile_bytes(config.k_type, config.key_dim);
  for (size_t slot = n_used; slot < kTileTokens; ++slot) {
    write_k(config.k_type, unit, slot, zeros.data(), config.key_dim);
    write_v(config.v_type, v_tile, slot, zeros.data(), config.value_dim);
  }
}

uint64_t store_bytes(const StoreSpec& spec, const CacheConfig& config, size_t n_tokens) {
  return config.n_layers * config.n_kv_heads * spec.n_units(n_tokens) * spec.unit_bytes;
}

// Calls visit(address, n_bytes, ends_head) for the runs of units that `n_tokens` tokens in `pages`
// use, in the order of the file.
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

}  // namespace

// From the first page on that a query behind the last token may see.
size_t KvSequence::n_saved_tokens() const {
  return n_tokens_ - first_page_for(n_tokens_) * config().page_tokens();
}

uint64_t KvSequence::section_bytes() const {
  uint64_t n_bytes = 0;
  for (const PagedStore& store : cache_->stores_) {
    if (is_saved(store))
      n_bytes += kSectionFrameBytes + store_bytes(store.spec(), config(), n_saved_tokens());
  }
  return n_bytes;
}

uint32_t KvSequence::n_sections() const {
  return static_cast<uint32_t>(
      std::count_if(cache_->stores_.begin(), cache_->stores_.end(), is_saved));
}

Status KvSequence::save(StateWriter& writer, const std::string& path) const {
  for (const uint32_t n_written : written_) {
    if (n_written == n_tokens_) continue;
    return bad_input("{}: not saved: a layer holds only {} of {} tokens", path, n_written,
                     n_tokens_);
  }
  for (const PagedStore& store : cache_->stores_) {
    if (is_saved(store)) LH_RETURN_IF_ERROR(save_store(writer, store));
  }
  return {};
}

Status KvSequence::save_store(StateWriter& writer, const PagedStore& store) const {
  const StoreSpec& spec = store.spec();
  const size_t n_saved = n_saved_tokens();
  const size_t n_used_of_last = n_saved % spec.unit_tokens;
  std::vector<std::byte> last(spec.unit_bytes);
  const auto write_run = [&](const std::byte* data, size_t n_bytes, bool ends_head) -> Status {
    if (!ends_head || n_used_of_last == 0) return writer.append({data, n_bytes});
    const size_t n_whole = n_bytes - spec.unit_bytes;
    LH_RETURN_IF_ERROR(writer.append({data, n_whole}));
    std::memcpy(last.data(), data + n_whole, spec.unit_bytes);
    blank_tail(spec, config(), n_used_of_last, last.data());
    return writer.append(last);
  };
  const auto pages =
      std::span<const uint32_t>(pages_).subspan(std::min(pages_.size(), first_page_for(n_tokens_)));
  LH_RETURN_IF_ERROR(writer.begin_section(spec.tag, store_bytes(spec, config(), n_saved)));
  LH_RETURN_IF_ERROR(for_each_run(store, config(), pages, n_saved, write_run));
  return writer.end_section();
}

Status KvSequence::load(StateReader& reader, size_t n_tokens, const std::string& name) {
  LH_CHECK(n_tokens_ == 0);
  // Where a window begins the pages before are missing from the start.
  const size_t first_page = first_page_for(n_tokens);
  const size_t n_saved = n_tokens - first_page * config().page_tokens();
  std::vector<std::span<const std::byte>> sections;
  for (const PagedStore& store : cache_->stores_) {
    if (!is_saved(store)) continue;
    const StoreSpec& spec = store.spec();
    LH_ASSIGN_OR_RETURN(const auto section,
                        reader.section(spec.tag, spec.name, store_bytes(spec, config(), n_saved)));
    sections.push_back(section);
  }
  if (auto status = prepare_write(0, n_saved); !status) {
    return make_error(status.error().code, "{}: {}", name, status.error().message);
  }
  pages_.insert(pages_.begin(), first_page, 0);
  first_page_ = first_page;
  n_tokens_ = n_tokens;
  const auto pages = std::span<const uint32_t>(pages_).subspan(std::min(pages_.size(), first_page));
  auto section = sections.begin();
  for (const PagedStore& store : cache_->stores_) {
    if (!is_saved(store)) continue;
    const std::byte* from = (section++)->data();
    const auto read_run = [&](std::byte* data, size_t n_bytes, bool /*ends_head*/) -> Status {
      if (n_bytes > 0) std::memcpy(data, from, n_bytes);
      from += n_bytes;
      return {};
    };
    LH_RETURN_IF_ERROR(for_each_run(store, config(), pages, n_saved, read_run));
  }
  std::fill(written_.begin(), written_.end(), static_cast<uint32_t>(n_tokens));
  for (size_t i = 0; n_tokens > 0 && i < written_.size(); ++i) {
    update_summaries(i / config().n_kv_heads, i % config().n_kv_heads, n_tokens - n_saved, n_tokens,
                     Which::kUnsaved);
  }
  return {};
}

}  // namespace longhaul
