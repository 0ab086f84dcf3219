# Clang, for the presets that need it. Debian 12 installs it with its version in the name.
find_program(HOLDFAST_CLANGXX NAMES clang++-14 clang++ REQUIRED)
set(CMAKE_CXX_COMPILER "${HOLDFAST_CLANGXX}")
