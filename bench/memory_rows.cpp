#include "memory_rows.hpp"

#include <holdfast/core.hpp>

#include <mutex>

namespace holdfast::bench {

void memory_rows(const std::function<void(const row&)>& report) {
    pin_to(0);
    const memory_provider locks;
    const lock one = locks.make_lock("pair");
    std::mutex raw;
    const auto measured = measure_pairs([&] { one.acquire().release(); },
                                        [&] {
                                            raw.lock();
                                            raw.unlock();
                                        },
                                        {});
    report(make_row("memory", "lock", "sync pair", measured, 0, "std::mutex"));
    unpin();
}

}  // namespace holdfast::bench
