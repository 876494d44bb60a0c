# Writes OUT, a header that names the commit of SOURCE, where it differs from the one that is there:
# what includes it is compiled again only when the commit changes. "unknown" outside of a repository.
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} describe --always --dirty --abbrev=10
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR commit STREQUAL "")
  set(commit unknown)
endif()
set(text "#pragma once\n#define LONGHAUL_COMMIT \"${commit}\"\n")
if(EXISTS ${OUT})
  file(READ ${OUT} held)
endif()
if(NOT "${held}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()
