# Windows, built with mingw-w64 on Linux and tried out under Wine: for the preset mingw. On Debian: the packages
# g++-mingw-w64-x86-64-posix, wine, wine64 and googletest.

set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

# Nothing of the machine we build on, whose headers are for another system. Those that are for any, Boost's among them,
# are found by the modules in cmake/mingw.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/mingw")

# What this compiler's own library has wrong: see there.
set(CMAKE_CXX_FLAGS_INIT "-include \"${CMAKE_CURRENT_LIST_DIR}/mingw/atomic_wait.hpp\"")
set(CMAKE_CXX_STANDARD_LIBRARIES "-lsynchronization")

# Programs that need none of the compiler's DLLs.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)

set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_LIST_DIR}/mingw/under-wine")
