// Holdfast: what a backend can tell of its locks and of its own fitness.
#ifndef HOLDFAST_INSPECTION_HPP
#define HOLDFAST_INSPECTION_HPP

#include <holdfast/config.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
inline namespace v0 {

/// @brief What @ref provider::list is to look at.
struct list_query {
    /// Only the lock of this mapped name; empty: all that can be found.
    std::string key = {};
    /// How long the backend may be asked. More than zero.
    std::chrono::milliseconds timeout = std::chrono::seconds(10);
};

/// @brief One holder of a lock, or one waiter, or a lock that nobody holds.
struct lock_entry {
    enum class status { free, held, waiting };

    /// The mapped name: a path, a key of the server's.
    std::string key;
    status state = status::held;
    /// "exclusive", "read", "ticket", ... ; empty where the backend cannot tell.
    std::string access = {};
    /// Who, in one phrase for people; empty where the backend cannot tell.
    std::string holder = {};
    /// What else there is to know, by the backend's own words: "pid", "since", "remaining", ... Where it is "failure"
    /// alone, this is no lock, but says which of several servers could not be asked, and why.
    std::vector<std::pair<std::string, std::string>> details = {};
};

/// @brief What @ref provider::examine is to do.
struct examination {
    /// Remove what dead processes have left behind and nobody uses.
    bool clean = false;
    /// How long the backend may be asked. More than zero.
    std::chrono::milliseconds timeout = std::chrono::seconds(10);
};

/// @brief One thing that was looked at in an examination.
struct finding {
    enum class grade {
        /// As it ought to be.
        good,
        /// Works, with a limit that its user ought to know.
        warning,
        /// Locks would fail, or would not be safe.
        fault,
    };

    grade severity = grade::good;
    /// What was looked at: "version", "privileges", ...
    std::string subject;
    /// What was found and, where it is not good, what would be right.
    std::string text;
};

}  // namespace v0
}  // namespace holdfast

#endif
