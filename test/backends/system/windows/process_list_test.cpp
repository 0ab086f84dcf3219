// Looking at locks while others come and go.
#include <holdfast/backends/system.hpp>
#include <holdfast/lock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include <windows.h>

namespace holdfast {
namespace {

TEST(SystemList, ShowsAHeldLockWhateverComesAndGoes) {
    const provider locks = system::make_provider();
    const std::string own = std::to_string(::GetCurrentProcessId());
    const lock target = locks.make_lock("listed-" + own);
    const lock_handle held = target.acquire();
    std::jthread others([&](const std::stop_token& stop) {
        for (int count = 0; !stop.stop_requested(); ++count) {
            const lock_handle passing = locks.make_lock("passing-" + own + "-" + std::to_string(count % 50)).acquire();
        }
    });
    for (int round = 0; round < 100; ++round) {
        const auto found = locks.list();
        ASSERT_TRUE(std::any_of(found.begin(), found.end(),
                                [&](const lock_entry& each) {
                                    return each.key == target.mapped_name() && each.state == lock_entry::status::held;
                                }))
            << "missing in round " << round;
    }
}

}  // namespace
}  // namespace holdfast
