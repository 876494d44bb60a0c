# What `cmake --install` puts where, and the package that CPack makes of it.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The engine as one shared library: rooms stay inside, and who uses it needs nothing but tl::expected. Bodies of public
# functions lie in two rooms; what these need of the others the linker finds.
add_library(longhaul_library SHARED $<TARGET_OBJECTS:longhaul_engine> $<TARGET_OBJECTS:longhaul_grammar>)
target_link_libraries(longhaul_library PRIVATE longhaul_engine PUBLIC tl::expected)
target_compile_features(longhaul_library PUBLIC cxx_std_20)
target_link_options(longhaul_library PRIVATE -Wl,-Bsymbolic
                    -Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/exported_names.map)
set_target_properties(longhaul_library PROPERTIES
  OUTPUT_NAME longhaul EXPORT_NAME longhaul VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}  # before 1.0 every minor version may break
  LINK_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/exported_names.map)
file(GLOB public_headers CONFIGURE_DEPENDS include/longhaul/*.h)
target_sources(longhaul_library PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${public_headers})

install(TARGETS longhaul)
install(TARGETS longhaul_library EXPORT longhaulTargets FILE_SET HEADERS)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/longhaul)
install(EXPORT longhaulTargets NAMESPACE longhaul:: DESTINATION ${package_dir})
write_basic_package_version_file(longhaulConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/longhaulConfig.cmake ${PROJECT_BINARY_DIR}/longhaulConfigVersion.cmake DESTINATION ${package_dir})

# The man page and the completions, as the program itself tells them.
set(zsh_dir share/zsh/site-functions)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(zsh_dir share/zsh/vendor-completions)  # which Debian's zsh reads
endif()
foreach(entry "man longhaul.1 share/man/man1" "bash longhaul share/bash-completion/completions"
              "zsh _longhaul ${zsh_dir}" "fish longhaul.fish share/fish/vendor_completions.d")
  separate_arguments(entry)
  list(GET entry 0 what)
  list(GET entry 1 name)
  list(GET entry 2 folder)
  set(file ${PROJECT_BINARY_DIR}/share/${what}/${name})
  add_custom_command(OUTPUT ${file} DEPENDS longhaul VERBATIM
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/share/${what}
                     COMMAND longhaul describe ${what} > ${file})
  list(APPEND described ${file})
  install(FILES ${file} DESTINATION ${folder})
endforeach()
add_custom_target(described ALL DEPENDS ${described})

# The program looks for the bundled model in share/longhaul/ beside its own folder (apps/bundled_model.cc).
install(DIRECTORY models/ DESTINATION share/longhaul)
set(doc_dir share/doc/longhaul)
install(FILES README.md CHANGELOG.md DESTINATION ${doc_dir})
install(DIRECTORY docs DESTINATION ${doc_dir} FILES_MATCHING PATTERN *.md PATTERN *.svg)
install(DIRECTORY examples DESTINATION ${doc_dir})

# The licence, and those of the libraries that are compiled in, where Debian keeps them; that of Boost does not ask for it.
file(READ LICENSE copyright)
foreach(package libcli11-dev nlohmann-json3-dev libexpected-dev libhwy-dev libfmt-dev libjs-marked)
  if(EXISTS /usr/share/doc/${package}/copyright)
    file(READ /usr/share/doc/${package}/copyright text)
    string(APPEND copyright "\n\n==== Compiled in: ${package} ====\n\n${text}")
  endif()
endforeach()
file(WRITE ${PROJECT_BINARY_DIR}/share/copyright "${copyright}")
install(FILES ${PROJECT_BINARY_DIR}/share/copyright DESTINATION ${doc_dir})

# scripts/package runs CPack.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Longhaul authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "long generation with language models, sparse and exact")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "The program longhaul (generate, chat, serve, batch), the library liblonghaul with its headers, and a small model.")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libexpected-dev, cmake, g++")  # to build with the library
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_STRIP_FILES ON)
include(CPack)
