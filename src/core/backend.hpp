// A backend as the core sees it.
#ifndef HOLDFAST_CORE_BACKEND_HPP
#define HOLDFAST_CORE_BACKEND_HPP

#include <core/link.hpp>

#include <holdfast/capabilities.hpp>
#include <holdfast/inspection.hpp>
#include <holdfast/observer.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Who keeps a lock while we hold it.
enum class family {
    /// This machine's kernel: commands are answered at once; the link is the hold.
    kernel,
    /// A live connection: the link is the hold, and dropping it gives the lock back.
    session,
    /// A time to live that is renewed: links are shared, and the owner's id is the hold.
    lease,
};

/// How a backend behaves, as far as the machines need to know.
struct backend_traits {
    core::family family = family::kernel;
    /// No answer of its links is ever awaited for long: nothing is on its way, and what takes time has an end of its
    /// own.
    bool answers_at_once = false;
    /// Waiting is a command (`verb::wait`); otherwise it is a watch and another try.
    bool waits_on_server = false;
    /// `try_acquire` with `staying` leaves a mark that `verb::withdraw` takes away.
    bool announces = false;
    /// Leases: links make lost connections anew by themselves and ask again over them. Then the machine does not: a
    /// give-back that is still on its way over the old connection could take what a second ask with the same owner was
    /// granted.
    bool links_reconnect = false;
    /// How long a reply may stay out after the caller's own time is over.
    std::chrono::milliseconds reply_grace{5000};
    /// How long a cancelled command's reply is awaited before its link is dropped.
    std::chrono::milliseconds cancel_grace{1000};
    /// Leases: taken off every lifetime, for clocks that differ.
    std::chrono::nanoseconds lease_margin{0};
    /// Leases: time between renewals.
    std::chrono::nanoseconds renewal_cadence{0};
};

/// Who waits for the news of a watch.
enum class waiter {
    /// Nobody's thread: the notifier is all there is.
    executor,
    /// The calling thread, in `watch::wait_on_caller`.
    caller,
    /// The same, and nothing but the lock or the time can end the wait: no cancellation.
    caller_undisturbed,
    /// The same, and nothing but the lock can end the wait: no timeout, no cancellation.
    caller_for_ever,
};

/// What links and watches may need of the provider they work for.
struct backend_context {
    /// Where asynchronous work runs; starts the library's thread when the user gave no executor.
    std::function<boost::asio::any_io_executor()> executor;
    std::shared_ptr<holdfast::observer> observer;
};

/** Names, capabilities and links of one backend with one set of options.

    Stateless as far as locks go: what is held is kept by links, owners' ids and the core.

    Thread safety: all members may be called from several threads at once.
*/
class HOLDFAST_API backend {
public:
    backend() = default;
    backend(const backend&) = delete;
    backend& operator=(const backend&) = delete;
    virtual ~backend() = default;

    virtual std::string_view name() const noexcept = 0;
    virtual const holdfast::capabilities& capabilities() const noexcept = 0;
    virtual const backend_traits& traits() const noexcept = 0;

    /// The backend's own name for @p name; throws `errc::invalid_name`.
    virtual std::string map_name(primitive_kind kind, std::string_view name) const = 0;

    /** A new link. It may still have to connect: its first command then takes as long as that.

        Kernel family: @p who is what the link will be for. Throws @ref error.
    */
    virtual std::unique_ptr<link> make_link(const claim& who, const backend_context& context) = 0;

    /** A link for an operation that runs on the executor, where all of those share one connection: its notifier alone
        tells of answers. Null, the default: such operations use the same links as calling threads.

        Kept for the next such operation, whoever's, where it is `is_shared` and `reusable`.
    */
    virtual std::unique_ptr<link> make_shared_link(const claim& who, const backend_context& context);

    /** Begins to listen for news about @p who, before another try. Not called where waiting is a command.
        @param who    outlives the watch
        @param asking the link that was refused; outlives the watch
        @param where  who will wait
    */
    virtual std::unique_ptr<watch> arm(const claim& who, link& asking, notifier& on_wake,
                                       const backend_context& context, waiter where);

    /// Leases: how many claims of @p who's kind and mode one command can renew; at least 1, the default.
    virtual std::size_t renewals_at_once(const claim& who) const noexcept;

    /// See `provider::list` and `provider::examine`. Both block, on a connection of their own where they need one; the
    /// defaults throw `errc::unsupported`.
    virtual std::vector<lock_entry> list(const list_query& query);
    virtual std::vector<finding> examine(const examination& how);
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
