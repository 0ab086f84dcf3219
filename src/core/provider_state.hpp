// What all locks and handles of one provider share.
#ifndef HOLDFAST_CORE_PROVIDER_STATE_HPP
#define HOLDFAST_CORE_PROVIDER_STATE_HPP

#include <core/alarm_queue.hpp>
#include <core/backend.hpp>
#include <core/fork.hpp>
#include <core/key_table.hpp>
#include <core/link_pool.hpp>
#include <core/runtime.hpp>
#include <lease/renewal.hpp>

#include <holdfast/provider.hpp>

#include <memory>
#include <mutex>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {

/** One backend with one set of options: names, links, and the threads they need.

    Thread safety: safe.
*/
class HOLDFAST_API provider_state : public std::enable_shared_from_this<provider_state> {
public:
    /// Throws `errc::invalid_options` for unusable settings.
    static std::shared_ptr<provider_state> make(std::shared_ptr<core::backend> backend,
                                                const provider_settings& settings);
    provider_state(std::shared_ptr<core::backend> backend, const provider_settings& settings);

    core::backend& backend() const noexcept { return *backend_; }
    const backend_traits& traits() const noexcept { return traits_; }
    holdfast::observer* observer() const noexcept { return settings_.observer.get(); }
    const backend_context& context() const noexcept { return context_; }
    std::chrono::milliseconds release_timeout() const noexcept { return settings_.release_timeout; }

    /// The user's executor, or that of the library's thread, started now if it is not running.
    boost::asio::any_io_executor executor();
    /// The user's executor, which has work as long as the result lives; empty where there is only the library's.
    boost::asio::any_io_executor work() const;

    static constexpr const char* forked_text = "this was made before a fork and cannot be used in the child";

    /// True in a child forked since the provider was made: nothing of it may be used.
    bool forked() const noexcept { return generation_ != fork_generation(); }

    std::shared_ptr<const resource> make_resource(primitive_kind kind, std::string_view name, int max_count);

    /// A link for @p who: for kernel backends the name's spare one, for others an idle one, or a new one.
    /// @param where who will wait for its answers
    std::unique_ptr<link> take_link(const claim& who, bool fresh, waiter where);
    /// Gives a link back that holds nothing. It is closed where there is no memory to keep it.
    void put_link(const claim& who, std::unique_ptr<link> returned) noexcept;

    renewal_queue& renewals() noexcept { return renewals_; }
    alarm_queue& alarms() noexcept { return alarms_; }

private:
    std::mutex mutex_;
    /// Outlives the backend, whose own connections may be with its reactor.
    std::shared_ptr<runtime> runtime_;

    const std::shared_ptr<core::backend> backend_;
    const backend_traits& traits_;
    const provider_settings settings_;
    const unsigned generation_ = fork_generation();
    backend_context context_;

    const std::shared_ptr<key_table> keys_ = std::make_shared<key_table>();
    link_pool links_;
    /// The executor's.
    link_pool shared_links_;
    alarm_queue alarms_;
    renewal_queue renewals_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
