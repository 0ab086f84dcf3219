# Finds libmd (SHA-1, SHA-256, SHA-512) as Libmd::Libmd. Installed beside holdfast-config.cmake too, because a static
# libholdfast_core leaves this library to the final link.

set(_libmd_names md)
if(HOLDFAST_STATIC_LIBMD)
    set(_libmd_names ${CMAKE_STATIC_LIBRARY_PREFIX}md${CMAKE_STATIC_LIBRARY_SUFFIX} md)
endif()
find_path(Libmd_INCLUDE_DIR NAMES sha512.h sha2.h)
find_library(Libmd_LIBRARY NAMES ${_libmd_names})
unset(_libmd_names)
mark_as_advanced(Libmd_INCLUDE_DIR Libmd_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libmd
    REQUIRED_VARS Libmd_LIBRARY Libmd_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "on Debian: apt-get install libmd-dev"
)

if(Libmd_FOUND AND NOT TARGET Libmd::Libmd)
    add_library(Libmd::Libmd UNKNOWN IMPORTED)
    set_target_properties(Libmd::Libmd PROPERTIES
        IMPORTED_LOCATION "${Libmd_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${Libmd_INCLUDE_DIR}"
    )
endif()
