#include "state/state_file.h"

#include <cstring>
#include <utility>

#include "base/check.h"

namespace longhaul {
namespace {

constexpr std::string_view kMagic = "LHSTATE1";

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

uint64_t section_checksum(uint32_t tag, std::span<const std::byte> bytes) {
  const uint64_t n_bytes = bytes.size();
  StreamHash hash;
  hash.update(bytes_of(tag));
  hash.update(bytes_of(n_bytes));
  hash.update(bytes);
  return hash.digest();
}

Result<StateWriter> StateWriter::create(const std::string& path, uint32_t n_sections,
                                        uint64_t n_bytes) {
  LH_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, n_bytes));
  LH_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(kMagic))));
  LH_RETURN_IF_ERROR(file.write(bytes_of(kStateVersion)));
  LH_RETURN_IF_ERROR(file.write(bytes_of(n_sections)));
  return StateWriter(std::move(file));
}

Status StateWriter::begin_section(uint32_t tag, uint64_t n_bytes) {
  LH_CHECK(n_missing_ == 0);
  hash_.reset();
  n_missing_ = sizeof(tag) + sizeof(n_bytes) + n_bytes;
  LH_RETURN_IF_ERROR(append(bytes_of(tag)));
  return append(bytes_of(n_bytes));
}

Status StateWriter::append(std::span<const std::byte> bytes) {
  LH_CHECK(bytes.size() <= n_missing_);
  n_missing_ -= bytes.size();
  hash_.update(bytes);
  return file_.write(bytes);
}

Status StateWriter::end_section() {
  LH_CHECK(n_missing_ == 0);
  return file_.write(bytes_of(hash_.digest()));
}

Status StateWriter::write_section(uint32_t tag, std::span<const std::byte> bytes) {
  LH_RETURN_IF_ERROR(begin_section(tag, bytes.size()));
  LH_RETURN_IF_ERROR(append(bytes));
  return end_section();
}

Status StateWriter::commit() { return file_.commit(); }

Result<StateReader> StateReader::open(std::span<const std::byte> bytes, const std::string& name,
                                      uint32_t n_sections) {
  ByteReader reader(bytes, name);
  LH_ASSIGN_OR_RETURN(const auto magic, reader.take(kMagic.size(), "the magic"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    return bad_input("{}: not a Longhaul state file: it does not begin with {}", name, kMagic);
  }
  LH_ASSIGN_OR_RETURN(const auto version, reader.read<uint32_t>("the version"));
  if (version != kStateVersion) {
    return unsupported("{}: expected state file version {}, found {}", name, kStateVersion,
                       version);
  }
  LH_ASSIGN_OR_RETURN(const auto found, reader.read<uint32_t>("the number of sections"));
  if (found != n_sections) {
    return bad_input("{}: expected {} sections, found {}", name, n_sections, found);
  }
  return StateReader(reader);
}

Result<std::span<const std::byte>> StateReader::section(uint32_t tag, std::string_view what) {
  const std::string& name = bytes_.name();
  LH_ASSIGN_OR_RETURN(const auto found_tag, bytes_.read<uint32_t>(what));
  if (found_tag != tag) {
    return bad_input("{}: expected section {} (tag {:#010x}), found tag {:#010x}", name, what, tag,
                     found_tag);
  }
  LH_ASSIGN_OR_RETURN(const auto n_bytes, bytes_.read<uint64_t>(what));
  LH_ASSIGN_OR_RETURN(const auto bytes, bytes_.take(n_bytes, what));
  LH_ASSIGN_OR_RETURN(const auto checksum, bytes_.read<uint64_t>(what));
  if (section_checksum(tag, bytes) != checksum) {
    return bad_input("{}: section {}: the checksum does not match: the file is damaged", name,
                     what);
  }
  return bytes;
}

Result<std::span<const std::byte>> StateReader::section(uint32_t tag, std::string_view what,
                                                        uint64_t n_bytes) {
  LH_ASSIGN_OR_RETURN(const auto bytes, section(tag, what));
  if (bytes.size() != n_bytes) {
    return bad_input("{}: section {}: expected {} bytes, found {}", bytes_.name(), what, n_bytes,
                     bytes.size());
  }
  return bytes;
}

Status StateReader::finish() const {
  if (bytes_.remaining() == 0) return {};
  return bad_input("{}: {} bytes too many after the last section", bytes_.name(),
                   bytes_.remaining());
}

}  // namespace longhaul
