// Several independent servers, of which a majority decides (Redlock).
#ifndef HOLDFAST_BACKENDS_REDIS_QUORUM_LINK_HPP
#define HOLDFAST_BACKENDS_REDIS_QUORUM_LINK_HPP

#include <backends/redis/leftovers.hpp>
#include <backends/redis/shared_channel.hpp>
#include <backends/redis/strategy.hpp>

#include <memory>
#include <string>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace redis {

/// How a vote goes among servers that do not know of each other.
class tally {
public:
    explicit tally(std::size_t servers) noexcept : servers_(servers) {}

    enum class answer { yes, no, fault };
    void add(answer what) noexcept { ++(what == answer::yes ? yes_ : what == answer::no ? no_ : faults_); }

    std::size_t yes() const noexcept { return yes_; }
    std::size_t majority() const noexcept { return servers_ / 2 + 1; }
    /// As many answers that are no yes make a majority impossible.
    std::size_t veto() const noexcept { return servers_ - servers_ / 2; }
    bool complete() const noexcept { return yes_ + no_ + faults_ == servers_; }

    bool won() const noexcept { return yes_ >= majority(); }
    /// A majority of yes cannot come any more.
    bool cannot_win() const noexcept { return no_ + faults_ >= veto(); }
    /// So many did not answer that what the others say decides nothing.
    bool faulty() const noexcept { return faults_ >= veto(); }
    bool denied() const noexcept { return no_ >= veto(); }

private:
    std::size_t servers_;
    std::size_t yes_ = 0;
    std::size_t no_ = 0;
    std::size_t faults_ = 0;
};

/// Links of the calling thread: a connection to each server, and one descriptor for all of them.
std::unique_ptr<core::link> make_direct_quorum(const strategy& commands, const std::vector<server>& servers,
                                               resolver& names, leftovers& rest);
/// Links of the executor: places in the connections that all asynchronous operations share.
std::unique_ptr<core::link> make_shared_quorum(const strategy& commands,
                                               const std::vector<std::shared_ptr<shared_channel>>& channels,
                                               leftovers& rest);

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
