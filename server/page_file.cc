#include "server/page_file.h"

#include <cstring>

#include "base/check.h"
#include "base/result.h"
#include "base/stream_hash.h"
#include "io/byte_reader.h"

namespace longhaul {
namespace {

constexpr std::string_view kMagic = "LHPAGE01";

template <class T>
void put(std::vector<std::byte>& bytes, const T& value) {
  const auto added = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), added.begin(), added.end());
}

}  // namespace

uint64_t page_checksum(std::span<const std::byte> head, std::span<const std::byte> payload) {
  StreamHash hash;
  hash.update(head);
  hash.update(payload);
  return hash.digest();
}

PageFrame frame_page(const PageHead& head, std::span<const std::byte> payload) {
  LH_CHECK(payload.size() == head.n_bytes);
  PageFrame frame;
  const auto magic = std::as_bytes(std::span(kMagic));
  frame.head.assign(magic.begin(), magic.end());
  put(frame.head, head.key);
  put(frame.head, head.first);
  put(frame.head, uint32_t{0});
  put(frame.head, head.n_bytes);
  LH_CHECK(frame.head.size() == kPageHeadBytes);
  put(frame.tail, page_checksum(frame.head, payload));
  return frame;
}

Result<PageHead> read_page_head(std::span<const std::byte> bytes, const PageKey& key,
                                const std::string& name) {
  ByteReader reader(bytes, name);
  LH_ASSIGN_OR_RETURN(const auto magic, reader.take(kMagic.size(), "the magic"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0)
    return bad_input("{}: not the file of a page: it does not begin with {}", name, kMagic);
  PageHead head;
  LH_ASSIGN_OR_RETURN(const auto found, reader.take(head.key.size(), "the key"));
  std::memcpy(head.key.data(), found.data(), found.size());
  if (head.key != key)
    return bad_input("{}: expected page {}, found {}", name, to_hex(key), to_hex(head.key));
  LH_ASSIGN_OR_RETURN(head.first, reader.read<uint32_t>("the position"));
  LH_ASSIGN_OR_RETURN(const auto zero, reader.read<uint32_t>("the head"));
  if (zero != 0) return bad_input("{}: expected 0 at byte 44, found {}", name, zero);
  LH_ASSIGN_OR_RETURN(head.n_bytes, reader.read<uint64_t>("the length"));
  return head;
}

Result<std::span<const std::byte>> read_page(std::span<const std::byte> bytes, const PageKey& key,
                                             uint64_t n_bytes, const std::string& name) {
  LH_ASSIGN_OR_RETURN(const PageHead head, read_page_head(bytes, key, name));
  if (head.n_bytes != n_bytes)
    return bad_input("{}: expected {} bytes of keys and values, found {}", name, n_bytes,
                     head.n_bytes);
  ByteReader reader(bytes.subspan(kPageHeadBytes), name);
  LH_ASSIGN_OR_RETURN(const auto payload, reader.take(n_bytes, "keys and values"));
  LH_ASSIGN_OR_RETURN(const auto checksum, reader.read<uint64_t>("the checksum"));
  if (reader.remaining() != 0)
    return bad_input("{}: {} bytes too many at its end", name, reader.remaining());
  if (page_checksum(bytes.first(kPageHeadBytes), payload) != checksum)
    return bad_input("{}: the checksum does not match: the file is damaged", name);
  return payload;
}

}  // namespace longhaul
