// Holdfast: the cause of an error, in the backend's own terms.
#ifndef HOLDFAST_DIAGNOSTICS_HPP
#define HOLDFAST_DIAGNOSTICS_HPP

#include <holdfast/config.hpp>

#include <string>

namespace holdfast {
inline namespace v0 {

/// @brief What is known of a lock that was, or was about to be, held.
enum class held_state {
    /// Held, as far as can be told without asking anybody.
    held,
    /// No longer ours, though nobody here released it.
    lost,
    /// A reply is missing: it may be held or not.
    unknown,
    /// Released by its holder, or never acquired.
    released,
};

/** @brief Where an error arose and what the backend said of it.

    Every operation takes one by reference, and clears it first. All texts have secrets masked.

    @par Thread safety
    Distinct objects: safe. Shared objects: unsafe. One given to an asynchronous operation must stay alive and untouched
    until that operation has completed.
*/
struct diagnostics {
    /// The backend's name ("file", "memory", ...); empty when the error arose before one was chosen.
    std::string backend;
    /// The lock's name as the user gave it.
    std::string lock_name;
    /// The backend's own number (an errno, a vendor code); 0 when there is none.
    int native_code = 0;
    /// What was wrong, in words: ours, and the server's text where there is one.
    std::string message;
    /// What the error leaves behind.
    held_state state = held_state::released;

    /// Back to the state of a new object.
    void clear() noexcept {
        backend.clear();
        lock_name.clear();
        native_code = 0;
        message.clear();
        state = held_state::released;
    }
};

}  // namespace v0
}  // namespace holdfast

#endif
