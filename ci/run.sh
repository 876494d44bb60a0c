#!/usr/bin/env bash
# The checks, for people and machines. Stages run in the order given and stop at the first failure.
# usage: ci/run.sh [stage ...]    default: format includes links dev
#   format       clang-format agrees with every C++ file
#   includes     #include arrows between rooms follow the table of docs/architecture.md
#   links        paths and links in the documents exist
#   dev          build with warnings as errors, run all tests; before that fetch published models if ../shared/models/fetch is there
#   asan, tsan   build and run the tests that say most under that sanitizer
#   cuda         build the CUDA backend without a card (cuda/emulation/), run its tests
#   kernels-nvcc compile the kernels of cuda/ for sm_90a (needs nvcc)
#   fuzz-replay  replay every stored fuzz input under ASan and UBSan
#   fuzz         libFuzzer (clang) from the stored inputs, FUZZ_SECONDS (default 30) for each target; new ones and crashes
#                go to build/fuzz/found/
#   lint         clang-tidy (.clang-tidy) on the files changed since LINT_BASE (default: main)
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

cpp_files() { git -c safe.directory='*' ls-files -co --exclude-standard '*.cc' '*.h'; }

# build PRESET [cmake --build arguments]: configures once, then builds.
build() {
  local preset=$1
  shift
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" ${CMAKE_ARGS:-} >/dev/null
  cmake --build --preset "$preset" -j "$jobs" "$@"
}

stage_format() { cpp_files | xargs clang-format --dry-run -Werror; }
stage_includes() { ci/check_includes; }
stage_links() { ci/check_links; }

# The published models that real_models_test reads, where a script that brings them lies beside this checkout.
fetch_models() {
  local fetch=../shared/models/fetch
  [[ -x $fetch ]] || return 0
  timeout -s INT -k 10 300 "$fetch" smollm2-135m-instruct gemma3-270m qwen2.5-coder-0.5b-instruct >/dev/null ||
    echo "ci/run.sh: not all published models could be fetched; real_models_test skips those that are not there" >&2
}

stage_dev() {
  fetch_models
  build dev
  ctest --preset dev -j "$jobs"
}

# All tests but those that are slow, look at the program from outside, or are the server's (its build is long; see tsan).
stage_asan() {
  build asan --target asan_tests
  UBSAN_OPTIONS=print_stacktrace=1 ctest --preset asan -j "$jobs" -LE 'slow|cli|server'
}

# Threads meet in the pool and wherever an engine runs on it; the other tests have one thread.
stage_tsan() {
  build tsan --target tsan_tests
  ctest --preset tsan -L tsan
}

# The emulation is slow: attention at a few shapes, whole models with short texts.
stage_cuda() {
  build cuda-emulated --target cuda_test cuda_attention_test cuda_linear_pack_test cuda_kv_layout_test cuda_widen_test
  ctest --preset cuda-emulated -j "$jobs" -R '^cuda_(test|linear_pack_test|kv_layout_test|widen_test)$'
  build/cuda-emulated/cuda/cuda_attention_test --gtest_brief=1 \
    --gtest_filter='*AListOfAllBlocks*:*StoredTokens*:*BoundsFollow*:*ACapturedPass*'
}

stage_kernels_nvcc() {
  build cuda --target longhaul_cuda
}

stage_fuzz_replay() {
  build asan --target asan_tests
  ctest --preset asan -R '_replay$' -LE server
}

stage_fuzz() {
  build fuzz --target fuzzers
  local target name found
  for target in build/fuzz/*/*_fuzz; do
    name=$(basename "$target" _fuzz)
    found=build/fuzz/found/$name
    echo "fuzz: $name"
    mkdir -p "$found"
    "$target" -max_total_time="${FUZZ_SECONDS:-30}" -print_final_stats=1 -artifact_prefix="$found-" \
      "$found" "fuzz/corpus/$name"
  done
}

stage_lint() {
  cmake --preset dev >/dev/null
  git diff --name-only --diff-filter=d "${LINT_BASE:-main}" -- '*.cc' |
    xargs --no-run-if-empty -n 1 -P "$jobs" clang-tidy -p build/dev --quiet --warnings-as-errors='*' \
      --extra-arg=-Wno-unknown-warning-option  # build/dev may be g++'s
}

[[ $# -gt 0 ]] || set -- format includes links dev
for stage in "$@"; do
  declare -F "stage_${stage//-/_}" >/dev/null || { echo "ci/run.sh: no stage named $stage" >&2; exit 2; }
  echo "== $stage, after $SECONDS s"
  "stage_${stage//-/_}"
done
