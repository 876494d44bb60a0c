# find_package(longhaul) brings the target longhaul::longhaul.
include(CMakeFindDependencyMacro)
find_dependency(tl-expected)
include(${CMAKE_CURRENT_LIST_DIR}/longhaulTargets.cmake)
