# holdfast_add_library(<component> SOURCES ... [PUBLIC <library>...] [PRIVATE <library>...]
#                      [PACKAGES <package>...] [PC_REQUIRES <module>...])
#
# Makes holdfast_<component>, known as holdfast::<component> inside the build and after installation, and
# holdfast_<component>_static, which is always a static library: the command and the tests link that one, the command to
# start quickly and the tests to reach what a shared library hides. In a static build the two are the same target.
#
# Libraries of our own among PUBLIC are given as components ("core"). PACKAGES and PC_REQUIRES name, for find_package and
# for pkg-config, where the PRIVATE libraries come from: who links the installed static library needs them too.
function(holdfast_add_library component)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE;PACKAGES;PC_REQUIRES")
    set(target holdfast_${component})

    add_library(${target})
    add_library(holdfast::${component} ALIAS ${target})
    set(variants ${target})
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "SHARED_LIBRARY")
        add_library(${target}_static STATIC EXCLUDE_FROM_ALL)
        list(APPEND variants ${target}_static)
        target_compile_definitions(${target} PUBLIC HOLDFAST_SHARED PRIVATE HOLDFAST_BUILDING)
        if(NOT WIN32 AND NOT APPLE)
            # What we link statically is not part of our interface.
            target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)
        endif()
        if(HOLDFAST_SANITIZE)
            message(FATAL_ERROR "HOLDFAST_SANITIZE needs static libraries: BUILD_SHARED_LIBS=OFF")
        endif()
    else()
        add_library(${target}_static ALIAS ${target})
    endif()

    foreach(variant IN LISTS variants)
        target_sources(${variant} PRIVATE ${arg_SOURCES})
        set_target_properties(${variant} PROPERTIES UNITY_BUILD ${HOLDFAST_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE 0)
        holdfast_compile(${variant})
        target_include_directories(${variant} PUBLIC
            "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
            "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>"
        )
        foreach(library IN LISTS arg_PUBLIC)
            if(TARGET holdfast_${library} AND variant MATCHES "_static$")
                set(library holdfast_${library}_static)
            elseif(TARGET holdfast_${library})
                set(library holdfast_${library})
            endif()
            target_link_libraries(${variant} PUBLIC ${library})
        endforeach()
        target_link_libraries(${variant} PRIVATE ${arg_PRIVATE})
        if(NOT component STREQUAL "core")
            # Tells <holdfast/holdfast.hpp> which backends the including program links.
            string(TOUPPER "HOLDFAST_WITH_${component}" macro)
            target_compile_definitions(${variant} PUBLIC ${macro})
        endif()
    endforeach()

    # Our libraries lie beside each other, and a program's own search path does not reach those that ours need.
    set(rpath "$ORIGIN")
    if(APPLE)
        set(rpath "@loader_path")
    endif()
    # Before 1.0 a minor version may change anything, so each has a name of its own for the loader.
    set(soversion ${PROJECT_VERSION_MAJOR})
    if(PROJECT_VERSION_MAJOR EQUAL 0)
        set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    endif()
    set_target_properties(${target} PROPERTIES
        INSTALL_RPATH "${rpath}"
        EXPORT_NAME ${component}
        VERSION ${PROJECT_VERSION}
        SOVERSION ${soversion}
    )
    set_property(GLOBAL APPEND PROPERTY HOLDFAST_COMPONENTS ${component})
    set_property(GLOBAL PROPERTY HOLDFAST_PACKAGES_${component} ${arg_PACKAGES})
    set_property(GLOBAL PROPERTY HOLDFAST_PC_REQUIRES_${component} ${arg_PC_REQUIRES})
endfunction()
