# How our own targets are compiled. Nothing here reaches a user's targets: it is applied per target, privately.

set(HOLDFAST_WARNINGS "")
if(MSVC)
    list(APPEND HOLDFAST_WARNINGS /W4 /permissive- /Zc:__cplusplus /utf-8)
    if(HOLDFAST_WERROR)
        list(APPEND HOLDFAST_WARNINGS /WX)
    endif()
else()
    list(APPEND HOLDFAST_WARNINGS
        -Wall -Wextra -Wpedantic
        -Wcast-align -Wcast-qual -Wconversion -Wdouble-promotion -Wextra-semi -Wformat=2 -Wimplicit-fallthrough
        -Wmissing-declarations -Wold-style-cast -Woverloaded-virtual -Wshadow -Wsign-conversion
        -Wundef -Wunused -Wvla
    )
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        list(APPEND HOLDFAST_WARNINGS -Wduplicated-branches -Wduplicated-cond -Wlogical-op)
    else()
        # GCC's rejects a final class below boost::system::error_category as well, whose destructor is protected.
        list(APPEND HOLDFAST_WARNINGS -Wnon-virtual-dtor)
        # For clang-tidy, which takes much longer to see it: bugprone-reserved-identifier. Macros are Linux' to name.
        list(APPEND HOLDFAST_WARNINGS -Wreserved-identifier -Wno-reserved-macro-identifier)
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        # A false alarm at every std::string concatenation that GCC 12 inlines (GCC bug 105651).
        list(APPEND HOLDFAST_WARNINGS -Wno-restrict)
    endif()
    # Designated initialisers leave members to their defaults on purpose.
    list(APPEND HOLDFAST_WARNINGS -Wno-missing-field-initializers)
    if(HOLDFAST_WERROR)
        list(APPEND HOLDFAST_WARNINGS -Werror)
    endif()
endif()

set(HOLDFAST_SANITIZE_FLAGS "")
if(HOLDFAST_SANITIZE)
    list(JOIN HOLDFAST_SANITIZE "," _holdfast_sanitizers)
    list(APPEND HOLDFAST_SANITIZE_FLAGS
        -fsanitize=${_holdfast_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer
    )
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND "undefined" IN_LIST HOLDFAST_SANITIZE)
        # Clang 14 cannot emit the function-type check for a coroutine ("difference across sections").
        list(APPEND HOLDFAST_SANITIZE_FLAGS -fno-sanitize=function)
    endif()
endif()

if(HOLDFAST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(HOLDFAST_CCACHE_PROGRAM ccache)
    if(HOLDFAST_CCACHE_PROGRAM)
        set(CMAKE_CXX_COMPILER_LAUNCHER "${HOLDFAST_CCACHE_PROGRAM}")
    endif()
endif()

# holdfast_compile(<target>): language level, warnings, visibility and sanitizers for one of our own targets, and the
# private headers in src/.
function(holdfast_compile target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    set_target_properties(${target} PROPERTIES
        CXX_EXTENSIONS OFF
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        POSITION_INDEPENDENT_CODE ON
    )
    if(WIN32)
        # Windows 10; and nothing of windows.h that takes names from others.
        target_compile_definitions(${target} PRIVATE _WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN NOMINMAX)
    endif()
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_compile_options(${target} PRIVATE ${HOLDFAST_WARNINGS} ${HOLDFAST_SANITIZE_FLAGS})
    target_link_options(${target} PRIVATE ${HOLDFAST_SANITIZE_FLAGS})
endfunction()
