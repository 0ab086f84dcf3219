// Memory that comes to its end. For executables that list scarce_memory.cpp, which replaces their operator new.
#ifndef HOLDFAST_TEST_SUPPORT_SCARCE_MEMORY_HPP
#define HOLDFAST_TEST_SUPPORT_SCARCE_MEMORY_HPP

#include <functional>

namespace holdfast::test {

/// Does @p what with memory for so many allocations, and for none after them, on this thread.
/// @return whether it threw for that
bool with_memory_for(int allocations, const std::function<void()>& what);

}  // namespace holdfast::test

#endif
