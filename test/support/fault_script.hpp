// Which requests to a fake server go wrong, and how.
#ifndef HOLDFAST_TEST_SUPPORT_FAULT_SCRIPT_HPP
#define HOLDFAST_TEST_SUPPORT_FAULT_SCRIPT_HPP

#include <core/link.hpp>

#include <chrono>
#include <deque>
#include <map>

namespace holdfast::fakes {

enum class fault_kind {
    none,
    /// An error in place of the answer, which changed nothing.
    fails,
    /// An error in place of the answer, though the request was carried out.
    doubt_after,
    /// The same error, and nothing was carried out.
    doubt_before,
    /// The link dies after the request was carried out.
    link_lost_after,
    /// The link dies, and the request never arrives.
    link_lost_before,
    /// Carried out at once; the answer takes its time.
    late,
    /// The request itself is late: carried out, and answered, after its delay. Leases only.
    arrives_late,
    /// No answer ever, and nothing carried out.
    hangs,
    /// No answer ever, though it was carried out.
    hangs_after,
    /// Where waiting is a command: a cancel has no effect, until the next one.
    ignores_cancel,
};

/// A delay that ends when the test says so.
inline constexpr std::chrono::milliseconds until_let_go = std::chrono::milliseconds::max();

struct fault {
    fault_kind kind = fault_kind::none;
    std::chrono::milliseconds delay{0};
    errc code = errc::unavailable;
};

/** Faults by command, used up in the order of their entry. Thread safety: none, its server locks. */
class fault_script {
public:
    static constexpr int always = 1 << 30;

    void add(core::verb what, fault which, int times = 1) { faults_[what].push_back({which, times}); }
    void clear() { faults_.clear(); }

    fault take(core::verb what) {
        auto& waiting = faults_[what];
        if (waiting.empty()) return {};
        const fault taken = waiting.front().which;
        if (--waiting.front().times == 0) waiting.pop_front();
        return taken;
    }

private:
    struct entry {
        fault which;
        int times = 1;
    };
    std::map<core::verb, std::deque<entry>> faults_;
};

}  // namespace holdfast::fakes

#endif
