// Memory that comes to its end. For executables that list scarce_memory.cpp, which replaces their operator new.
#ifndef HOLDFAST_TEST_SUPPORT_SCARCE_MEMORY_HPP
#define HOLDFAST_TEST_SUPPORT_SCARCE_MEMORY_HPP

#include <gtest/gtest.h>

#include <functional>

// The thread sanitizer has an operator new of its own, which cannot be replaced.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDFAST_TEST_WITHOUT_SCARCE_MEMORY
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HOLDFAST_TEST_WITHOUT_SCARCE_MEMORY
#endif

#if defined(HOLDFAST_TEST_WITHOUT_SCARCE_MEMORY)
#define HOLDFAST_NEEDS_SCARCE_MEMORY() GTEST_SKIP() << "the sanitizer's memory does not come to its end"
#else
#define HOLDFAST_NEEDS_SCARCE_MEMORY() static_cast<void>(0)
#endif

namespace holdfast::test {

/// Does @p what with memory for so many allocations, and for none after them, on this thread.
/// @return whether it threw for that
bool with_memory_for(int allocations, const std::function<void()>& what);

}  // namespace holdfast::test

#endif
