# holdfast_add_backend(NAME <backend> SOURCES ... [DRIVER <package>...] [LIBRARIES ...] [PC_REQUIRES ...] [HINT <text>]
#                      CONTRACT <environment.cpp>... [UNIT_TESTS ...] [PROCESS_TESTS ...] [TEST_LABELS ...])
#
# The only way to add a backend: its library, its component, its option and its tests come from this one call.
#
#   NAME           the library is holdfast_<backend>, known to users as holdfast::<backend> and as the find_package
#                  component <backend>. The option HOLDFAST_<BACKEND> is AUTO (built where its driver is), ON (a missing
#                  driver is an error) or OFF.
#   SOURCES        relative to src/backends/<backend>/.
#   DRIVER         the packages that find_package is asked for (add a cmake/Find<package>.cmake where there is none).
#                  Without it the backend needs no driver, and is in the command itself; those with one are in
#                  holdfast-drivers, which the command executes when it is needed.
#   LIBRARIES      the driver's targets, linked privately.
#   PC_REQUIRES    the driver's pkg-config modules.
#   HINT           how to get the driver, for the messages.
#   CONTRACT       the environment that the contract suite runs against, relative to the project, and what it needs to
#                  start its server. Required with tests.
#   UNIT_TESTS     sources, relative to the project; one executable from all of them.
#   PROCESS_TESTS  the same, run with KIND process.
#   TEST_LABELS    added to each of the backend's tests, such as "server" where one must be started first.
function(holdfast_add_backend)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;HINT"
        "DRIVER;CONTRACT;SOURCES;LIBRARIES;PC_REQUIRES;UNIT_TESTS;PROCESS_TESTS;TEST_LABELS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "holdfast_add_backend(${arg_NAME}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(HOLDFAST_BUILD_TESTS AND NOT arg_CONTRACT)
        message(FATAL_ERROR "holdfast_add_backend(${arg_NAME}): a backend without CONTRACT is not tested, so not added")
    endif()

    string(TOUPPER "HOLDFAST_${arg_NAME}" option)
    set(${option} AUTO CACHE STRING "The ${arg_NAME} backend: AUTO (where its driver is found), ON or OFF")
    set_property(CACHE ${option} PROPERTY STRINGS AUTO ON OFF)
    if(NOT ${option} STREQUAL "AUTO" AND NOT ${option})
        message(STATUS "Holdfast: the ${arg_NAME} backend is left out (${option}=${${option}})")
        return()
    endif()
    foreach(driver IN LISTS arg_DRIVER)
        find_package(${driver} QUIET GLOBAL)
        if(NOT ${driver}_FOUND AND ${option} STREQUAL "AUTO")
            message(STATUS "Holdfast: the ${arg_NAME} backend is left out: no ${driver} found (${arg_HINT})")
            return()
        elseif(NOT ${driver}_FOUND)
            message(FATAL_ERROR "${option}=${${option}}, but no ${driver} was found (${arg_HINT})")
        endif()
    endforeach()

    list(TRANSFORM arg_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/src/backends/${arg_NAME}/")
    holdfast_add_library(${arg_NAME} SOURCES ${arg_SOURCES} PUBLIC core PRIVATE ${arg_LIBRARIES}
        PACKAGES ${arg_DRIVER} PC_REQUIRES ${arg_PC_REQUIRES})
    set_property(GLOBAL APPEND PROPERTY HOLDFAST_BACKENDS ${arg_NAME})
    if(arg_DRIVER)
        set_property(GLOBAL APPEND PROPERTY HOLDFAST_BACKENDS_WITH_DRIVER ${arg_NAME})
    endif()
    holdfast_add_backend_tests(NAME ${arg_NAME} LIBRARY holdfast_${arg_NAME}_static ${arg_LIBRARIES}
        CONTRACT ${arg_CONTRACT}
        UNIT_TESTS ${arg_UNIT_TESTS} PROCESS_TESTS ${arg_PROCESS_TESTS} TEST_LABELS ${arg_TEST_LABELS})
endfunction()

# The tests alone, for a backend whose code is in the core.
function(holdfast_add_backend_tests)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "LIBRARY;CONTRACT;UNIT_TESTS;PROCESS_TESTS;TEST_LABELS")
    if(NOT HOLDFAST_BUILD_TESTS)
        return()
    endif()
    _holdfast_backend_test(NAME contract_${arg_NAME} KIND contract SOURCES ${arg_CONTRACT}
        LIBRARIES holdfast_contract_suite ${arg_LIBRARY} LABELS ${arg_TEST_LABELS})
    _holdfast_backend_test(NAME unit_${arg_NAME} KIND unit SOURCES ${arg_UNIT_TESTS}
        LIBRARIES ${arg_LIBRARY} LABELS ${arg_TEST_LABELS})
    _holdfast_backend_test(NAME process_${arg_NAME} KIND process SOURCES ${arg_PROCESS_TESTS}
        LIBRARIES ${arg_LIBRARY} LABELS ${arg_TEST_LABELS})
endfunction()

# Passes its arguments on when there is something to compile.
function(_holdfast_backend_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;KIND" "SOURCES;LIBRARIES;LABELS")
    if(NOT arg_SOURCES)
        return()
    endif()
    list(TRANSFORM arg_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/")
    holdfast_add_test(NAME ${arg_NAME} KIND ${arg_KIND} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES}
        LABELS ${arg_LABELS})
endfunction()
