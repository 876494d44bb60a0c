# Helpers shared by every room: one library per room, tests and benchmarks beside the code.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
if(LONGHAUL_BUILD_TESTS)
  find_package(GTest REQUIRED)
  pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
endif()
if(LONGHAUL_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

add_library(longhaul_options INTERFACE)
target_include_directories(longhaul_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
# nvcc has other warnings.
target_compile_options(longhaul_options INTERFACE
                       "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Both warn about correct uses of std::string and std::vector at -O3 (GCC bugs 105329, 105762).
  target_compile_options(longhaul_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow>")
endif()
if(LONGHAUL_WERROR)
  target_compile_options(longhaul_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Werror>")
endif()
if(LONGHAUL_SANITIZE)
  target_compile_options(longhaul_options INTERFACE -fsanitize=${LONGHAUL_SANITIZE} -fno-omit-frame-pointer
                                                    -fno-sanitize-recover=all)
  # g++ 12 checks each access for null and alignment, and takes three times as long to compile what is made of maps and texts.
  # Address stops at null by itself; alignment is checked in the rooms that read numbers from bytes (LONGHAUL_CHECKS_ALIGNMENT).
  target_compile_options(
    longhaul_options INTERFACE -fno-sanitize=null
    "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:LONGHAUL_CHECKS_ALIGNMENT>>>:-fno-sanitize=alignment>")
  target_link_options(longhaul_options INTERFACE -fsanitize=${LONGHAUL_SANITIZE})
endif()
if(LONGHAUL_BUILD_FUZZ)
  target_compile_options(longhaul_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# longhaul_room(NAME SOURCES a.cc ... LINK other rooms ...)
# Makes the static library longhaul_NAME; a room without sources is an interface library.
function(longhaul_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(ARG_SOURCES)
    add_library(longhaul_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(longhaul_${name} PUBLIC longhaul_options ${ARG_LINK})
  else()
    add_library(longhaul_${name} INTERFACE)
    target_link_libraries(longhaul_${name} INTERFACE longhaul_options ${ARG_LINK})
  endif()
endfunction()

# What the sanitizer stages of ci/run.sh build: tests labelled tsan; all but those labelled slow, cli (apps/) or server,
# whose sources take the longest to compile under ASan and run under TSan.
add_custom_target(tsan_tests)
add_custom_target(asan_tests)
function(longhaul_sanitize name labels)
  if("tsan" IN_LIST labels)
    add_dependencies(tsan_tests ${name})
  endif()
  if(NOT labels MATCHES "slow|cli|server")
    add_dependencies(asan_tests ${name})
  endif()
endfunction()

# longhaul_test(NAME SOURCES x_test.cc ... LINK rooms ... [LABELS unit slow per_target golden cli tsan server])
# One gtest program, registered with CTest as one test; the tests find the source tree in LONGHAUL_SOURCE_DIR.
function(longhaul_test name)
  if(NOT LONGHAUL_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE LONGHAUL_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600)
  longhaul_sanitize(${name} "${ARG_LABELS}")
endfunction()

# longhaul_bench(NAME SOURCES x_bench.cc ... LINK rooms ...)
function(longhaul_bench name)
  if(NOT LONGHAUL_BUILD_BENCH)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} benchmark::benchmark benchmark::benchmark_main)
endfunction()

# longhaul_fuzz(NAME ROOM [LABEL]): NAME_fuzz.cc against the inputs of fuzz/corpus/NAME.
# With LONGHAUL_BUILD_FUZZ a libFuzzer program, built by `fuzzers`; otherwise a CTest that replays the inputs
# (fuzz/replay.cc).
add_custom_target(fuzzers)
function(longhaul_fuzz name room)
  set(label unit ${ARGN})
  if(LONGHAUL_BUILD_FUZZ)
    add_executable(${name}_fuzz ${name}_fuzz.cc)
    target_link_libraries(${name}_fuzz PRIVATE ${room})
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name}_fuzz)
  elseif(LONGHAUL_BUILD_TESTS)
    add_executable(${name}_fuzz ${name}_fuzz.cc ${PROJECT_SOURCE_DIR}/fuzz/replay.cc)
    target_link_libraries(${name}_fuzz PRIVATE ${room})
    longhaul_sanitize(${name}_fuzz "${label}")
    add_test(NAME ${name}_fuzz_replay COMMAND ${name}_fuzz ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
    set_tests_properties(${name}_fuzz_replay PROPERTIES LABELS "${label}")
  endif()
endfunction()

# longhaul_register(TYPE FILE NAME further.cc ...): compiles NAME/FILE.cc, which defines the TYPE object k<Name><TYPE>, and
# the further files of that folder, and lists the object in the registry of TYPE.
function(longhaul_register type file name)
  string(SUBSTRING ${name} 0 1 first)
  string(TOUPPER ${first} first)
  string(SUBSTRING ${name} 1 -1 rest)
  foreach(source ${file}.cc ${ARGN})
    set_property(GLOBAL APPEND PROPERTY LONGHAUL_${type}_SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${name}/${source})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY LONGHAUL_${type}_OBJECTS "k${first}${rest}${type}")
endfunction()

# longhaul_write_registry(TYPE SOURCES): writes registry.cc from registry.cc.in, with @DECLARATIONS@ and @ENTRIES@ for every
# registered TYPE; the variable SOURCES gets all files to compile.
function(longhaul_write_registry type sources)
  get_property(files GLOBAL PROPERTY LONGHAUL_${type}_SOURCES)
  get_property(objects GLOBAL PROPERTY LONGHAUL_${type}_OBJECTS)
  foreach(object ${objects})
    string(APPEND DECLARATIONS "extern const ${type} ${object};\n")
    string(APPEND ENTRIES "    &${object},\n")
  endforeach()
  configure_file(registry.cc.in registry.cc @ONLY)
  set(${sources} ${CMAKE_CURRENT_BINARY_DIR}/registry.cc ${files} PARENT_SCOPE)
endfunction()

# add_quant(NAME): called in quant/NAME/. Adds its reference.cc and NAME_test.cc to the room, and its row to the registry:
# the header quant/NAME/format.h declares kType, dequantize and quantize in longhaul::quant::NAME.
function(add_quant name)
  set_property(GLOBAL APPEND PROPERTY LONGHAUL_QUANTS ${name})
  set_property(GLOBAL APPEND PROPERTY LONGHAUL_QUANT_SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/reference.cc)
  set_property(GLOBAL APPEND PROPERTY LONGHAUL_QUANT_TESTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}_test.cc)
endfunction()

# Writes quant_rows.cc with one row for each add_quant().
function(generate_quant_registry)
  get_property(names GLOBAL PROPERTY LONGHAUL_QUANTS)
  foreach(name ${names})
    string(APPEND LONGHAUL_QUANT_INCLUDES "#include \"quant/${name}/format.h\"\n")
    string(APPEND LONGHAUL_QUANT_ROWS
           "    {quant::${name}::kType, quant::${name}::dequantize, quant::${name}::quantize},\n")
  endforeach()
  configure_file(quant_rows.cc.in quant_rows.cc @ONLY)
endfunction()
