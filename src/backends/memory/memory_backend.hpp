// Locks in this process's memory, which can be lost, late or refused on request.
#ifndef HOLDFAST_BACKENDS_MEMORY_MEMORY_BACKEND_HPP
#define HOLDFAST_BACKENDS_MEMORY_MEMORY_BACKEND_HPP

#include <core/backend.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

class memory_link;
class memory_watch;

/** The table of all locks of one memory provider. One mutex: it is for tests, and its critical sections are short. */
class memory_backend final : public backend {
public:
    std::string_view name() const noexcept override { return "memory"; }
    const holdfast::capabilities& capabilities() const noexcept override;
    const backend_traits& traits() const noexcept override;
    std::string map_name(primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<link> make_link(const claim& who, const backend_context& context) override;
    std::unique_ptr<watch> arm(const claim& who, link& asking, notifier& on_wake, const backend_context& context,
                               waiter where) override;

    int lose(std::string_view name);
    void set_delay(std::chrono::milliseconds delay);
    void fail_next(errc code, int count);

private:
    friend class memory_link;
    friend class memory_watch;

    /// One name. Exists while anybody holds it or waits for it.
    struct entry {
        std::vector<memory_link*> holders;
        std::vector<memory_watch*> watches;
        /// The upgradeable reader that waits to become the writer keeps new readers out.
        const memory_link* converting = nullptr;
    };

    /// The mutex is held in all of these.
    entry& entry_of(const claim& who) { return entries_[who.target->mapped()]; }
    void sweep(const std::string& mapped);
    static void wake(entry& which);

    std::mutex mutex_;
    std::map<std::string, entry, std::less<>> entries_;
    std::uint64_t last_token_ = 0;
    std::chrono::milliseconds delay_{0};
    errc failure_ = errc::unavailable;
    int failures_left_ = 0;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
