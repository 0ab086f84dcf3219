// The release of every family, and the other questions that need one command and one answer.
#ifndef HOLDFAST_CORE_RELEASE_OPERATION_HPP
#define HOLDFAST_CORE_RELEASE_OPERATION_HPP

#include <core/backend.hpp>
#include <core/operation.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Gives a lock back within a bounded time. Not cancellable: a release half done helps nobody.
class release_operation final : public operation {
public:
    release_operation(const claim& who, const backend_traits& traits, std::chrono::nanoseconds limit) noexcept
        : who_(who), traits_(traits), limit_(limit) {}

    action resume(const event& happened, const moment& now) override;

private:
    enum class state { idle, linking, asking, dropping, done };

    action ask();
    action on_answer(const reply& answer, const moment& now);
    action drop();

    const claim& who_;
    const backend_traits& traits_;
    std::chrono::nanoseconds limit_;
    boottime::time_point deadline_ = never;
    state state_ = state::idle;
    bool in_doubt_ = false;
    int lost_links_ = 0;
};

/// One command on any link, one answer: renewals and counts.
class query_operation final : public operation {
public:
    /// @param together see `command::together`
    query_operation(const claim& who, const backend_traits& traits, verb what, std::chrono::nanoseconds limit,
                    std::span<renewal_share> together = {}) noexcept
        : who_(who), traits_(traits), what_(what), limit_(limit), together_(together) {}

    action resume(const event& happened, const moment& now) override;

private:
    const claim& who_;
    const backend_traits& traits_;
    verb what_;
    std::chrono::nanoseconds limit_;
    std::span<renewal_share> together_;
    boottime::time_point deadline_ = never;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
