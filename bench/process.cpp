#include "measure.hpp"

#include <malloc.h>
#include <sched.h>

namespace holdfast::bench {

bool pin_to(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(processor), &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

void unpin() {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (std::size_t i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

double heap_bytes() {
    const auto all = ::mallinfo2();
    return static_cast<double>(all.uordblks + all.hblkhd);
}

}  // namespace holdfast::bench
