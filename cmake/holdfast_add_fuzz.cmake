# holdfast_add_fuzz(NAME <name> SOURCES ... [LIBRARIES ...])
#
# A libFuzzer program, and a test that runs it for HOLDFAST_FUZZ_SECONDS. Its seeds are in test/fuzz/corpus/<name>/; what
# it finds interesting stays in the build tree, so a second run goes on from there.

set(HOLDFAST_FUZZ_SECONDS 20 CACHE STRING "How long each fuzz target runs as a test")

if(HOLDFAST_BUILD_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "HOLDFAST_BUILD_FUZZ needs Clang; the preset 'fuzz' takes it")
    endif()
    # The library must be instrumented as well, or the fuzzer sees nothing of it.
    list(APPEND HOLDFAST_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
endif()

function(holdfast_add_fuzz)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;LIBRARIES")
    set(target fuzz_${arg_NAME})
    add_executable(${target} ${arg_SOURCES})
    holdfast_compile(${target})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES} holdfast_core_static)

    set(found "${CMAKE_CURRENT_BINARY_DIR}/found/${arg_NAME}")
    file(MAKE_DIRECTORY "${found}")
    set(seeds "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${arg_NAME}")
    if(NOT IS_DIRECTORY "${seeds}")
        set(seeds "")
    endif()
    math(EXPR timeout "${HOLDFAST_FUZZ_SECONDS} + 60")
    add_test(NAME fuzz_${arg_NAME}
        COMMAND ${target} -max_total_time=${HOLDFAST_FUZZ_SECONDS} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
            -artifact_prefix=${found}- "${found}" ${seeds}
    )
    set_tests_properties(fuzz_${arg_NAME} PROPERTIES
        LABELS fuzz TIMEOUT ${timeout} ENVIRONMENT "${HOLDFAST_TEST_ENVIRONMENT}")
endfunction()
