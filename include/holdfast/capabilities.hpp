// Holdfast: what a backend can and cannot do.
#ifndef HOLDFAST_CAPABILITIES_HPP
#define HOLDFAST_CAPABILITIES_HPP

#include <holdfast/config.hpp>

namespace holdfast {
inline namespace v0 {

/// @brief How a lost lock becomes known.
enum class loss_detection {
    /// Not at all: the lost token never fires.
    none,
    /// After the fact, and not in every case.
    best_effort,
    /// As soon as the connection's end is seen.
    connection,
    /// Before the server can give the lock to somebody else.
    before_expiry,
};

/// @brief What a fencing token is worth.
enum class fencing_support {
    /// There is none.
    none,
    /// Grows, but can go back after the events that the backend's page names.
    may_regress,
    /// Never goes back.
    monotonic,
};

/** @brief What the provider's backend can do, with the options it was given.

    What is false here ends in `errc::unsupported`, when the lock object is made.
*/
struct capabilities {
    bool lock = false;
    bool reader_writer_lock = false;
    bool upgradeable_reader_writer_lock = false;
    bool semaphore = false;
    /// `semaphore::current_count()` works.
    bool current_count = false;
    /// Other processes see the lock (false for the memory backend only).
    bool cross_process = false;
    holdfast::loss_detection loss_detection = holdfast::loss_detection::none;
    fencing_support fencing = fencing_support::none;
};

}  // namespace v0
}  // namespace holdfast

#endif
