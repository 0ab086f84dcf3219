// What single servers of several may still hold in vain.
#ifndef HOLDFAST_BACKENDS_REDIS_LEFTOVERS_HPP
#define HOLDFAST_BACKENDS_REDIS_LEFTOVERS_HPP

#include <backends/redis/channel.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Takes back, as soon as the server can be reached again, what it may have granted without its answer having come.

    An owner's leftover on a server makes a new ask for the same owner there unsafe until it is settled: it could be
    taken back as well.

    Thread safety: safe.
*/
class leftovers {
public:
    using channels = std::vector<std::shared_ptr<lasting_channel>>;

    /// @param over called when there is something to be taken back for the first time
    explicit leftovers(std::function<channels()> over) : over_(std::move(over)) {}
    leftovers(const leftovers&) = delete;
    leftovers& operator=(const leftovers&) = delete;

    /// @param until when the server forgets it by itself: it is not sent again then
    /// @return null when there are too many already, and it has to end with its time
    std::shared_ptr<const request> take_back(std::size_t at, const core::owner_id& owner, std::string text,
                                             const script& which, boottime::time_point until, boottime::time_point now);
    /// Whether that will take nothing back any more. Its time does not tell: it may have been on its way since then.
    bool is_settled(std::size_t at, const request& taken) const;
    /// It is done, and yet will never be settled: it was lost on its way.
    bool is_unsettleable(std::size_t at, const request& taken) const;

private:
    struct item {
        std::size_t at;
        core::owner_id owner;
        std::shared_ptr<const request> asked;
        boottime::time_point until;
    };
    void sweep(boottime::time_point now);

    const std::function<channels()> over_;
    mutable std::mutex mutex_;
    channels channels_;
    std::vector<item> items_;
    boottime::time_point sweep_at_{};
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
