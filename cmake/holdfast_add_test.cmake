# holdfast_add_test(NAME <name> KIND <kind> SOURCES ... [LIBRARIES ...] [LABELS ...] [TIMEOUT <seconds>]
#                   [SERIAL] [ENVIRONMENT ...])
#
# One GoogleTest executable. KIND is unit, contract, process, race or long; it is the test's first label and decides its
# default TIMEOUT. One ctest entry per executable (under Wine three for a contract suite): the contract suite alone has
# thousands of cases, and starting a program for each takes longer than the cases.
#
# SERIAL: nothing else runs beside it, for tests that assert upper bounds on time.

set(HOLDFAST_TEST_KINDS unit contract process race long)
set(HOLDFAST_BUILT_TEST_KINDS ${HOLDFAST_TEST_KINDS} CACHE STRING "Which kinds of tests are built; the others are left out")
set(HOLDFAST_TEST_TIMEOUT_unit 60)
set(HOLDFAST_TEST_TIMEOUT_contract 600)
set(HOLDFAST_TEST_TIMEOUT_process 180)
set(HOLDFAST_TEST_TIMEOUT_race 300)
set(HOLDFAST_TEST_TIMEOUT_long 1200)

# Nothing but the first report matters, and it must end the test. Debian's symbolizer has its version in its name, so the
# sanitizers do not find it themselves.
set(HOLDFAST_TEST_ENVIRONMENT "")
set(HOLDFAST_TEST_FIXTURES "")
set(_symbolizer "")
if(HOLDFAST_SANITIZE)
    find_program(HOLDFAST_SYMBOLIZER NAMES llvm-symbolizer-14 llvm-symbolizer)
    if(HOLDFAST_SYMBOLIZER)
        set(_symbolizer ":external_symbolizer_path=${HOLDFAST_SYMBOLIZER}")
    endif()
endif()
if("address" IN_LIST HOLDFAST_SANITIZE)
    list(APPEND HOLDFAST_TEST_ENVIRONMENT
        "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1${_symbolizer}"
        "UBSAN_OPTIONS=print_stacktrace=1${_symbolizer}"
    )
endif()
if("thread" IN_LIST HOLDFAST_SANITIZE)
    list(APPEND HOLDFAST_TEST_ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1${_symbolizer}")
endif()

if(WIN32 AND CMAKE_CROSSCOMPILING AND HOLDFAST_BUILD_TESTS)
    # One Wine for all tests of a run, and nobody else's.
    set(HOLDFAST_TEST_FIXTURES wine)
    set(HOLDFAST_TEST_ENVIRONMENT "WINEPREFIX=${PROJECT_BINARY_DIR}/wine")
    foreach(_end IN ITEMS begin end)
        add_test(NAME wine.${_end} COMMAND "${CMAKE_CROSSCOMPILING_EMULATOR}" --${_end})
        set_tests_properties(wine.${_end} PROPERTIES TIMEOUT 120 ENVIRONMENT "${HOLDFAST_TEST_ENVIRONMENT}")
    endforeach()
    set_tests_properties(wine.begin PROPERTIES FIXTURES_SETUP wine)
    set_tests_properties(wine.end PROPERTIES FIXTURES_CLEANUP wine)
endif()

function(holdfast_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "NAME;KIND;TIMEOUT" "SOURCES;LIBRARIES;LABELS;ENVIRONMENT")
    _holdfast_test_properties()
    if(NOT arg_KIND IN_LIST HOLDFAST_BUILT_TEST_KINDS)
        return()
    endif()

    set(target test_${arg_NAME})
    add_executable(${target} ${arg_SOURCES})
    holdfast_compile(${target})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/test" "${PROJECT_SOURCE_DIR}")
    target_compile_definitions(${target} PRIVATE HOLDFAST_TEST_DATA_DIR="${PROJECT_SOURCE_DIR}/test/data")
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES} holdfast_core_static GTest::gmock GTest::gtest_main)

    set(parts 1)
    if(CMAKE_CROSSCOMPILING AND arg_KIND STREQUAL "contract")
        # Under Wine the suite takes minutes, in which it mostly waits: parts of it run beside each other.
        set(parts 3)
    endif()
    foreach(part RANGE 1 ${parts})
        set(name ${arg_NAME})
        set(part_environment "")
        if(parts GREATER 1)
            string(APPEND name ".${part}")
            math(EXPR index "${part} - 1")
            set(part_environment GTEST_TOTAL_SHARDS=${parts} GTEST_SHARD_INDEX=${index})
        endif()
        add_test(NAME ${name} COMMAND ${target} --gtest_brief=1)
        set_tests_properties(${name} PROPERTIES ${_properties} LABELS "${_labels}"
            ENVIRONMENT "${_environment};${part_environment}")
    endforeach()
endfunction()

# holdfast_add_command_test(NAME <name> KIND <kind> SCRIPT <file.py> [ARGUMENTS ...] [LABELS ...]
#                           [TIMEOUT <seconds>] [SERIAL] [ENVIRONMENT ...])
#
# A test of the command, written with Python's unittest: HOLDFAST in its environment is the command that was built. Left
# out where it was not. With ARGUMENTS it is run as a program, with these.
function(holdfast_add_command_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "NAME;KIND;TIMEOUT;SCRIPT" "ARGUMENTS;LABELS;ENVIRONMENT")
    if(NOT TARGET holdfast_cli)
        return()
    endif()
    list(APPEND arg_ENVIRONMENT "HOLDFAST=$<TARGET_FILE:holdfast_cli>" "PYTHONDONTWRITEBYTECODE=1")
    _holdfast_test_properties()
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    cmake_path(ABSOLUTE_PATH arg_SCRIPT NORMALIZE)
    cmake_path(GET arg_SCRIPT PARENT_PATH folder)
    cmake_path(GET arg_SCRIPT STEM module)
    set(command -m unittest -v ${module})
    if(arg_ARGUMENTS)
        set(command "${arg_SCRIPT}" ${arg_ARGUMENTS})
    endif()
    # The program and not the target Python3::Interpreter, which CMake would hand to the emulator: Wine starts a program
    # of the system's own, but tells nobody how it ended, and does not wait for it.
    add_test(NAME ${arg_NAME} COMMAND "${Python3_EXECUTABLE}" ${command} WORKING_DIRECTORY "${folder}")
    set_tests_properties(${arg_NAME} PROPERTIES ${_properties} LABELS "${_labels}" ENVIRONMENT "${_environment}")
endfunction()

# Sets _properties, _labels and _environment from the arguments of the two functions above.
macro(_holdfast_test_properties)
    if(NOT arg_KIND IN_LIST HOLDFAST_TEST_KINDS)
        message(FATAL_ERROR "${arg_NAME}: KIND is one of ${HOLDFAST_TEST_KINDS}, not '${arg_KIND}'")
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT ${HOLDFAST_TEST_TIMEOUT_${arg_KIND}})
        # Under Wine the suite with the most threads has taken ten minutes on a busy machine.
        if(HOLDFAST_SANITIZE OR CMAKE_CROSSCOMPILING)
            math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 3")
        endif()
    endif()

    set(_properties TIMEOUT ${arg_TIMEOUT})
    if(HOLDFAST_TEST_FIXTURES)
        list(APPEND _properties FIXTURES_REQUIRED ${HOLDFAST_TEST_FIXTURES})
    endif()
    if(arg_SERIAL)
        list(APPEND _properties RUN_SERIAL ON)
    endif()
    set(_environment ${HOLDFAST_TEST_ENVIRONMENT} ${arg_ENVIRONMENT})
    set(_labels ${arg_KIND} ${arg_LABELS})
    if(arg_KIND MATCHES "^(unit|contract)$")
        list(APPEND _labels quick)
    endif()
endmacro()
