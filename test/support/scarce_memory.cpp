#include <support/scarce_memory.hpp>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace holdfast::test {
namespace {

constexpr int unlimited = -1;
thread_local int allocations_left = unlimited;

}  // namespace

bool with_memory_for(int allocations, const std::function<void()>& what) {
    bool threw = false;
    allocations_left = allocations;
    try {
        what();
    } catch (const std::bad_alloc&) {
        threw = true;
    }
    allocations_left = unlimited;
    return threw;
}

}  // namespace holdfast::test

#if !defined(HOLDFAST_TEST_WITHOUT_SCARCE_MEMORY)
void* operator new(std::size_t size) {
    int& left = holdfast::test::allocations_left;
    if (left == 0) throw std::bad_alloc();
    if (left > 0) --left;
    if (void* const made = std::malloc(size)) return made;
    throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif
