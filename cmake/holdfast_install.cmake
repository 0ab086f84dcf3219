# What `cmake --install` lays out: libraries, headers, the command, and what find_package and pkg-config read.
#
# Every component has an export set of its own, so that asking for one backend never asks for another one's driver.

include(CMakePackageConfigHelpers)

set(_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/holdfast")
get_property(_components GLOBAL PROPERTY HOLDFAST_COMPONENTS)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/holdfast" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    COMPONENT development FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_BINARY_DIR}/include/holdfast/version.hpp"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/holdfast" COMPONENT development)

cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
    BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" OUTPUT_VARIABLE _pc_prefix)
foreach(_component IN LISTS _components)
    install(TARGETS holdfast_${_component}
        EXPORT holdfast_${_component}
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT libraries NAMELINK_COMPONENT development
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT libraries
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    )
    install(EXPORT holdfast_${_component}
        FILE holdfast-${_component}-targets.cmake NAMESPACE holdfast:: DESTINATION "${_cmake_dir}" COMPONENT development)

    # A shared library has its driver in it or beside it; a static one leaves it to the final link.
    get_target_property(_type holdfast_${_component} TYPE)
    get_property(_packages GLOBAL PROPERTY HOLDFAST_PACKAGES_${_component})
    get_property(_pc_requires GLOBAL PROPERTY HOLDFAST_PC_REQUIRES_${_component})
    set(_dependencies "")
    set(_pc_description "${PROJECT_DESCRIPTION}: the ${_component} backend")
    set(_pc_public "holdfast-core = ${PROJECT_VERSION}")
    set(_pc_libs "-lholdfast_${_component}")
    string(TOUPPER " -DHOLDFAST_WITH_${_component}" _pc_cflags)
    if(_component STREQUAL "core")
        set(_pc_description "${PROJECT_DESCRIPTION}: the core, without backends")
        set(_pc_public "")
        set(_pc_cflags "")
        set(_pc_libs "${_pc_libs} ${CMAKE_THREAD_LIBS_INIT}")
    endif()
    if(NOT _type STREQUAL "SHARED_LIBRARY")
        foreach(_package IN LISTS _packages)
            string(APPEND _dependencies "find_dependency(${_package})\n")
        endforeach()
        list(APPEND _pc_public ${_pc_requires})
    else()
        string(APPEND _pc_cflags " -DHOLDFAST_SHARED")
    endif()
    list(JOIN _pc_public ", " _pc_public)
    file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/package/holdfast-${_component}-dependencies.cmake"
        CONTENT "${_dependencies}")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/holdfast.pc.in"
        "${PROJECT_BINARY_DIR}/package/holdfast-${_component}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/package/holdfast-${_component}-dependencies.cmake"
        DESTINATION "${_cmake_dir}" COMPONENT development)
    install(FILES "${PROJECT_BINARY_DIR}/package/holdfast-${_component}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)
endforeach()

# holdfast.pc is every component at once.
list(TRANSFORM _components REPLACE "(.+)" "holdfast-\\1 = ${PROJECT_VERSION}" OUTPUT_VARIABLE _pc_public)
list(JOIN _pc_public ", " _pc_public)
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/package/holdfast.pc" @ONLY CONTENT
"Name: holdfast
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires: @_pc_public@
")
install(FILES "${PROJECT_BINARY_DIR}/package/holdfast.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/holdfast-config.cmake.in"
    "${PROJECT_BINARY_DIR}/package/holdfast-config.cmake" INSTALL_DESTINATION "${_cmake_dir}")
# Before 1.0 a minor version may change anything.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/holdfast-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
file(GLOB _find_modules CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/Find*.cmake")
install(FILES
    "${PROJECT_BINARY_DIR}/package/holdfast-config.cmake"
    "${PROJECT_BINARY_DIR}/package/holdfast-config-version.cmake"
    ${_find_modules}
    DESTINATION "${_cmake_dir}" COMPONENT development
)

if(TARGET holdfast_cli)
    install(TARGETS holdfast_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT command)
endif()
if(TARGET holdfast_drivers_cli)
    install(TARGETS holdfast_drivers_cli
        RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/holdfast" COMPONENT command)
endif()
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT development)
