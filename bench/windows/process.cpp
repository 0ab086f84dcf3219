#include "../measure.hpp"

#include <windows.h>

namespace holdfast::bench {

// The process's, since those of a thread do not reach the threads that it starts.
bool pin_to(int processor) {
    return ::SetProcessAffinityMask(::GetCurrentProcess(), DWORD_PTR{1} << processor) != 0;
}

void unpin() {
    DWORD_PTR ours = 0;
    DWORD_PTR all = 0;
    if (!::GetProcessAffinityMask(::GetCurrentProcess(), &ours, &all)) return;
    ::SetProcessAffinityMask(::GetCurrentProcess(), all);
}

}  // namespace holdfast::bench
