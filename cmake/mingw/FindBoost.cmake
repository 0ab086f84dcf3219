# The headers of the machine's own Boost, which are for any system.

include("${CMAKE_CURRENT_LIST_DIR}/borrow_headers.cmake")
borrow_headers(boost)
file(STRINGS "${_borrowed}/boost/version.hpp" _line REGEX "^#define BOOST_VERSION ")
string(REGEX MATCH "[0-9]+$" Boost_VERSION_MACRO "${_line}")
math(EXPR _major "${Boost_VERSION_MACRO} / 100000")
math(EXPR _minor "${Boost_VERSION_MACRO} / 100 % 1000")
math(EXPR _patch "${Boost_VERSION_MACRO} % 100")
set(Boost_VERSION ${_major}.${_minor}.${_patch})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Boost REQUIRED_VARS _borrowed VERSION_VAR Boost_VERSION)
if(NOT TARGET Boost::headers)
    add_library(Boost::headers INTERFACE IMPORTED)
    set_target_properties(Boost::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_borrowed}")
endif()
