// SequenceState::save and restore. Sections: CONF (the length, the number of slots, then per slot
// its kind and its shapes, u64 each), MODL (the model's id), TOKS (i32 ids), then the slots' own:
// of a paged one kv_state.cc, of a recurrent one RECU, the floats of all layers after the last
// token.
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "io/gguf_value.h"
#include "io/mapped_file.h"
#include "state/memory_plan.h"
#include "state/sequence_state.h"
#include "state/state_file.h"

namespace longhaul {
namespace {

constexpr uint32_t kConfigTag = section_tag("CONF");
constexpr uint32_t kModelTag = section_tag("MODL");
constexpr uint32_t kTokensTag = section_tag("TOKS");
constexpr uint32_t kRecurrentTag = section_tag("RECU");
constexpr uint32_t kCommonSections = 3;

// The numbers by which KvType is written; a new type gets the next one.
static_assert(static_cast<int>(KvType::kF16) == 0 && static_cast<int>(KvType::kQ8_0) == 1);

struct Field {
  std::string_view name;
  uint64_t value;
};

constexpr size_t kSlotFields = 9;
using SlotFields = std::array<Field, kSlotFields>;

// What must be equal in the file and in the pool that restores it.
SlotFields fields_of(const SlotConfig& slot) {
  if (const auto* paged = std::get_if<CacheConfig>(&slot)) {
    return {{{"kind", 0},
             {"n_layers", paged->n_layers},
             {"n_kv_heads", paged->n_kv_heads},
             {"key_dim", paged->key_dim},
             {"value_dim", paged->value_dim},
             {"k_type", static_cast<uint64_t>(paged->k_type)},
             {"v_type", static_cast<uint64_t>(paged->v_type)},
             {"block_size", paged->block_size},
             {"window", paged->window}}};
  }
  const auto& recurrent = std::get<RecurrentConfig>(slot);
  return {{{"kind", 1},
           {"n_layers", recurrent.n_layers},
           {"n_floats", recurrent.n_floats},
           {"unused", 0},
           {"unused", 0},
           {"unused", 0},
           {"unused", 0},
           {"unused", 0},
           {"unused", 0}}};
}

std::vector<uint64_t> config_section(std::span<const SlotConfig> slots, size_t n_tokens) {
  std::vector<uint64_t> section = {n_tokens, slots.size()};
  for (const SlotConfig& slot : slots) {
    for (const Field& field : fields_of(slot)) section.push_back(field.value);
  }
  return section;
}

std::string in_words(std::string_view field, uint64_t value) {
  const bool is_type = field == "k_type" || field == "v_type";
  if (is_type && value == static_cast<uint64_t>(KvType::kF16)) return "f16";
  if (is_type && value == static_cast<uint64_t>(KvType::kQ8_0)) return "q8_0";
  return std::to_string(value);
}

// The number of tokens, once all the rest of the section is what it should be.
Result<size_t> check_config(std::span<const std::byte> section, std::span<const SlotConfig> slots,
                            const std::string& name) {
  std::vector<uint64_t> found(section.size() / sizeof(uint64_t));
  std::memcpy(found.data(), section.data(), found.size() * sizeof(uint64_t));
  if (found[1] != slots.size())
    return bad_input("{}: saved with {} slots, but this model has {}", name, found[1],
                     slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const SlotFields fields = fields_of(slots[i]);
    for (size_t j = 0; j < kSlotFields; ++j) {
      const uint64_t value = found[2 + i * kSlotFields + j];
      if (value == fields[j].value) continue;
      return bad_input("{}: slot {} was saved with {} {}, but this cache has {}", name, i,
                       fields[j].name, in_words(fields[j].name, value),
                       in_words(fields[j].name, fields[j].value));
    }
  }
  const size_t capacity = capacity_tokens(slots);
  if (found[0] <= capacity) return static_cast<size_t>(found[0]);
  return bad_input("{}: holds {} tokens, but this cache has room for {}", name, found[0], capacity);
}

}  // namespace

Status SequenceState::save(const std::string& path, std::span<const int32_t> tokens,
                           std::string_view model_id) const {
  if (tokens.size() != n_tokens_) {
    return bad_input("{}: not saved: {} token ids for a sequence of {} tokens", path, tokens.size(),
                     n_tokens_);
  }
  const std::vector<uint64_t> section = config_section(pool_->slots_, n_tokens_);
  uint32_t n_sections = kCommonSections;
  uint64_t n_bytes = kStateFrameBytes + kCommonSections * kSectionFrameBytes +
                     section.size() * sizeof(uint64_t) + model_id.size() + tokens.size_bytes();
  for (const Slot& slot : slots_) {
    const auto* paged = std::get_if<KvSequence>(&slot);
    n_sections += paged != nullptr ? paged->n_sections() : 1;
    n_bytes += paged != nullptr
                   ? paged->section_bytes()
                   : kSectionFrameBytes + std::get<RecurrentState>(slot).floats().size_bytes();
  }
  LH_ASSIGN_OR_RETURN(StateWriter writer, StateWriter::create(path, n_sections, n_bytes));
  LH_RETURN_IF_ERROR(writer.write_section(kConfigTag, std::as_bytes(std::span(section))));
  LH_RETURN_IF_ERROR(writer.write_section(kModelTag, std::as_bytes(std::span(model_id))));
  LH_RETURN_IF_ERROR(writer.write_section(kTokensTag, std::as_bytes(tokens)));
  for (const Slot& slot : slots_) {
    if (const auto* paged = std::get_if<KvSequence>(&slot)) {
      LH_RETURN_IF_ERROR(paged->save(writer, path));
      continue;
    }
    const auto& recurrent = std::get<RecurrentState>(slot);
    if (recurrent.n_tokens() != n_tokens_) {
      return bad_input("{}: not saved: a recurrent slot holds {} of {} tokens", path,
                       recurrent.n_tokens(), n_tokens_);
    }
    LH_RETURN_IF_ERROR(writer.write_section(kRecurrentTag, std::as_bytes(recurrent.floats())));
  }
  return writer.commit();
}

Result<RestoredState> SequenceState::restore(const std::string& path, std::string_view model_id) {
  LH_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  return restore_from(file.bytes(), path, model_id);
}

Result<RestoredState> SequenceState::restore_from(std::span<const std::byte> bytes,
                                                  const std::string& name,
                                                  std::string_view model_id) {
  SequenceState restored(*pool_);
  uint32_t n_sections = kCommonSections;
  for (const Slot& slot : restored.slots_) {
    const auto* paged = std::get_if<KvSequence>(&slot);
    n_sections += paged != nullptr ? paged->n_sections() : 1;
  }
  LH_ASSIGN_OR_RETURN(StateReader reader, StateReader::open(bytes, name, n_sections));
  const size_t config_bytes = (2 + pool_->slots_.size() * kSlotFields) * sizeof(uint64_t);
  LH_ASSIGN_OR_RETURN(const auto header, reader.section(kConfigTag, "configuration", config_bytes));
  RestoredState state;
  LH_ASSIGN_OR_RETURN(state.n_tokens, check_config(header, pool_->slots_, name));
  LH_ASSIGN_OR_RETURN(const auto saved_id, reader.section(kModelTag, "model id"));
  const std::string_view found(reinterpret_cast<const char*>(saved_id.data()), saved_id.size());
  if (found != model_id) {
    return bad_input("{}: saved with the model {}, but this is {}", name, quoted(found),
                     quoted(model_id));
  }
  LH_ASSIGN_OR_RETURN(const auto tokens,
                      reader.section(kTokensTag, "tokens", state.n_tokens * sizeof(int32_t)));
  for (Slot& slot : restored.slots_) {
    if (auto* paged = std::get_if<KvSequence>(&slot)) {
      LH_RETURN_IF_ERROR(paged->load(reader, state.n_tokens, name));
      continue;
    }
    auto& recurrent = std::get<RecurrentState>(slot);
    LH_ASSIGN_OR_RETURN(const auto section, reader.section(kRecurrentTag, "recurrent state",
                                                           recurrent.floats().size_bytes()));
    std::vector<float> floats(recurrent.floats().size());
    std::memcpy(floats.data(), section.data(), section.size());
    recurrent.assign(floats, state.n_tokens);
  }
  LH_RETURN_IF_ERROR(reader.finish());
  restored.n_tokens_ = state.n_tokens;
  state.tokens.resize(state.n_tokens);
  if (!tokens.empty()) std::memcpy(state.tokens.data(), tokens.data(), tokens.size());
  *this = std::move(restored);
  return state;
}

}  // namespace longhaul
