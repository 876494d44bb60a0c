// The page: what a browser is shown at the server's address.
#include "server/endpoints.h"
#include "server/page.h"

namespace longhaul {

// Nothing of another origin runs or is asked, and no other page may frame this one. What models say
// cannot run: scripts are those of the binary.
ApiStatus show_page(Services&, Call& call) {
  for (const PageFile& file : page_files()) {
    if (file.path != call.request.path) continue;
    call.exchange->reply(
        {.content_type = std::string(file.content_type),
         .body = std::string(file.bytes),
         .headers = {
             {"Content-Security-Policy",
              "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
              "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
             {"X-Content-Type-Options", "nosniff"},
             {"Referrer-Policy", "no-referrer"},
             {"Cache-Control", "no-cache"}}});
    return {};
  }
  return tl::unexpected<ApiError>(not_found("no such path: " + call.request.path));
}

}  // namespace longhaul
