#include "grammar/string_formats.h"

#include <iterator>

namespace longhaul::grammar {
namespace {

// Where a pattern leaves texts out that the format has, the comment says so.
#define LH_LEAP_YEAR                              \
  R"((?:\d{2}(?:0[48]|[2468][048]|[13579][26])|)" \
  R"((?:[02468][048]|[13579][26])00))"
#define LH_DATE                                                                                   \
  R"((?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|)" \
  R"(02-(?:0[1-9]|1\d|2[0-8]))|)" LH_LEAP_YEAR "-02-29)"
#define LH_TIME \
  R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))"
#define LH_LABEL R"([A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?)"
#define LH_HOST LH_LABEL R"((?:\.)" LH_LABEL R"()*)"
#define LH_OCTET R"((?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))"
#define LH_HOUR_PART R"(T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
#define LH_DAY_PART R"((?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D))"
#define LH_ATEXT R"([A-Za-z0-9!#$%&'*+/=?\^_`{|}~\-]+)"

struct Format {
  std::string_view name;
  std::string_view pattern;
};

constexpr Format kFormats[] = {
    {"date", LH_DATE},                   // RFC 3339
    {"time", LH_TIME},                   // RFC 3339; no leap seconds
    {"date-time", LH_DATE "T" LH_TIME},  // as these two
    {"duration", "P(?:\\d+W|" LH_DAY_PART "(?:" LH_HOUR_PART ")?|" LH_HOUR_PART ")"},  // RFC 3339
    {"email", LH_ATEXT R"((?:\.)" LH_ATEXT R"()*@)" LH_HOST},  // RFC 5321; nothing quoted
    {"hostname", LH_HOST},                                     // RFC 1123
    {"ipv4", LH_OCTET R"((?:\.)" LH_OCTET "){3}"},
    // All eight groups: no "::", no dotted end.
    {"ipv6", "[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}"},
    {"uuid", "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
    // RFC 3986; http and https, a host by name, nothing in [].
    {"uri",
     "https?://" LH_HOST R"((?::\d{1,5})?(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*)*)"
     R"((?:\?(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-fA-F]{2})*)?)"
     R"((?:#(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-fA-F]{2})*)?)"},
};

#undef LH_LEAP_YEAR
#undef LH_DATE
#undef LH_TIME
#undef LH_LABEL
#undef LH_HOST
#undef LH_OCTET
#undef LH_HOUR_PART
#undef LH_DAY_PART
#undef LH_ATEXT

}  // namespace

std::optional<std::string> format_pattern(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return "^(?:" + std::string(format.pattern) + ")$";
  }
  return {};
}

std::string format_names() {
  std::string names;
  for (const Format& format : kFormats) {
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names;
}

}  // namespace longhaul::grammar
