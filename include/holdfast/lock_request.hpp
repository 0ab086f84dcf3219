// Holdfast: what a call that takes several locks is to take, and in which way.
#ifndef HOLDFAST_LOCK_REQUEST_HPP
#define HOLDFAST_LOCK_REQUEST_HPP

#include <holdfast/detail/primitive.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/reader_writer_lock.hpp>
#include <holdfast/semaphore.hpp>
#include <holdfast/upgradeable_reader_writer_lock.hpp>

#include <concepts>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {

/** @brief One lock, and the way in which it is wanted; for @ref acquire_all and its like.

    A @ref lock and a @ref semaphore (one ticket of it) are requests as they are; of a reader-writer lock
    @ref for_reading and @ref for_writing make one.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class lock_request {
public:
    /// The lock, alone.
    lock_request(const lock& wanted)  // NOLINT(google-explicit-constructor)
        : lock_request(wanted.target_, detail::access::exclusive) {}
    /// One ticket of the semaphore.
    lock_request(const semaphore& wanted)  // NOLINT(google-explicit-constructor)
        : lock_request(wanted.target_, detail::access::ticket) {}

    /// The name as given to the provider.
    std::string_view name() const noexcept { return target_.name(); }
    /// What the name is on the backend: a path, a key.
    std::string_view mapped_name() const noexcept { return target_.mapped_name(); }

    /// @brief True where both are of the same lock of the same provider, in whatever way they want it.
    bool same_lock(const lock_request& other) const noexcept { return target_.same_lock(other.target_); }

    friend lock_request for_reading(const reader_writer_lock& wanted);
    friend lock_request for_reading(const upgradeable_reader_writer_lock& wanted);
    friend lock_request for_writing(const reader_writer_lock& wanted);
    friend lock_request for_writing(const upgradeable_reader_writer_lock& wanted);

    /// @cond internal
    const detail::primitive_ref& target() const noexcept { return target_; }
    detail::access mode() const noexcept { return mode_; }
    /// @endcond

private:
    lock_request(detail::primitive_ref target, detail::access mode) noexcept
        : target_(std::move(target)), mode_(mode) {}

    template <class ReaderWriterLock>
    static lock_request in_mode(const ReaderWriterLock& wanted, detail::access mode) {
        return {wanted.target_, mode};
    }

    detail::primitive_ref target_;
    detail::access mode_;
};

/// @brief A read lock of @p wanted.
inline lock_request for_reading(const reader_writer_lock& wanted) {
    return lock_request::in_mode(wanted, detail::access::shared);
}
/// @copydoc for_reading(const reader_writer_lock&)
inline lock_request for_reading(const upgradeable_reader_writer_lock& wanted) {
    return lock_request::in_mode(wanted, detail::access::shared);
}
/// @brief The write lock of @p wanted.
inline lock_request for_writing(const reader_writer_lock& wanted) {
    return lock_request::in_mode(wanted, detail::access::exclusive);
}
/// @copydoc for_writing(const reader_writer_lock&)
inline lock_request for_writing(const upgradeable_reader_writer_lock& wanted) {
    return lock_request::in_mode(wanted, detail::access::exclusive);
}

/** @brief Several requests, in their order: a list in braces, of whatever mixture, or a vector of one kind.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe while none changes them.
*/
class lock_requests {
public:
    lock_requests() = default;
    lock_requests(std::initializer_list<lock_request> wanted)  // NOLINT(google-explicit-constructor)
        : wanted_(wanted) {}
    /// Of one lock; for lists that are made by rule.
    lock_requests(lock_request wanted)  // NOLINT(google-explicit-constructor)
        : wanted_{std::move(wanted)} {}
    /// Of a vector of locks, of semaphores or of requests.
    template <class Wanted>
    // NOLINTNEXTLINE(google-explicit-constructor)
    requires std::convertible_to<const Wanted&, lock_request> lock_requests(const std::vector<Wanted>& wanted)
        : wanted_(wanted.begin(), wanted.end()) {}

    bool empty() const noexcept { return wanted_.empty(); }
    std::size_t size() const noexcept { return wanted_.size(); }
    const lock_request& operator[](std::size_t which) const noexcept { return wanted_[which]; }
    auto begin() const noexcept { return wanted_.begin(); }
    auto end() const noexcept { return wanted_.end(); }

private:
    friend lock_requests for_reading(const std::vector<reader_writer_lock>& wanted);
    friend lock_requests for_reading(const std::vector<upgradeable_reader_writer_lock>& wanted);
    friend lock_requests for_writing(const std::vector<reader_writer_lock>& wanted);
    friend lock_requests for_writing(const std::vector<upgradeable_reader_writer_lock>& wanted);

    template <class Wanted, class Convert>
    static lock_requests each(const std::vector<Wanted>& wanted, Convert convert) {
        lock_requests made;
        made.wanted_.reserve(wanted.size());
        for (const Wanted& one : wanted) made.wanted_.push_back(convert(one));
        return made;
    }

    std::vector<lock_request> wanted_;
};

/// @brief A read lock of each of @p wanted.
inline lock_requests for_reading(const std::vector<reader_writer_lock>& wanted) {
    return lock_requests::each(wanted, [](const reader_writer_lock& one) { return for_reading(one); });
}
/// @copydoc for_reading(const std::vector<reader_writer_lock>&)
inline lock_requests for_reading(const std::vector<upgradeable_reader_writer_lock>& wanted) {
    return lock_requests::each(wanted, [](const upgradeable_reader_writer_lock& one) { return for_reading(one); });
}
/// @brief The write lock of each of @p wanted.
inline lock_requests for_writing(const std::vector<reader_writer_lock>& wanted) {
    return lock_requests::each(wanted, [](const reader_writer_lock& one) { return for_writing(one); });
}
/// @copydoc for_writing(const std::vector<reader_writer_lock>&)
inline lock_requests for_writing(const std::vector<upgradeable_reader_writer_lock>& wanted) {
    return lock_requests::each(wanted, [](const upgradeable_reader_writer_lock& one) { return for_writing(one); });
}

}  // namespace v0
}  // namespace holdfast

#endif
