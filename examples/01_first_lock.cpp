// The first lock: wait for it, try for it, take several at once.
#include <holdfast/holdfast.hpp>

#include <chrono>
#include <iostream>
#include <string>

#include <unistd.h>

using namespace std::chrono_literals;

int main() try {
    // A directory of this user's own. For a service it would be one like file:///var/lock/app.
    const auto locks = holdfast::open("file:///tmp/holdfast-examples-" + std::to_string(::getuid()) + "?private");
    const auto orders = locks.make_lock("orders/42");

    {
        // Waits ten seconds at most, then throws holdfast::error with errc::timed_out.
        const auto held = orders.acquire(10s);
        std::cout << "holding " << held.name() << ", which is the file " << orders.mapped_name() << '\n';

        // Empty says that somebody holds it, and nothing else; here it is we ourselves. All other trouble is thrown.
        if (!orders.try_acquire(50ms)) std::cout << "a second try got nothing within 50 ms\n";
    }  // Released here.

    if (auto held = orders.try_acquire()) {
        // The destructor would do it too; this reports what went wrong.
        held->release();
        std::cout << "taken without waiting, and released\n";
    }

    // In this order, within five seconds for both; none is held if one cannot be had.
    const auto both = holdfast::acquire_all({orders, locks.make_lock("invoices")}, 5s);
    std::cout << "holding " << both.members().size() << " locks\n";
} catch (const holdfast::error& failure) {
    std::cerr << failure.what() << '\n';
    return 1;
}
