// The page of the server: files of server/page/ and a library, as they stand in the binary.
#pragma once

#include <span>
#include <string_view>

namespace longhaul {

struct PageFile {
  std::string_view path;  // "/page.css"; "/" is the page itself
  std::string_view content_type;
  std::string_view bytes;
};
std::span<const PageFile> page_files();

}  // namespace longhaul
