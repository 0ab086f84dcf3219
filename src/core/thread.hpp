// What the library's own threads have in common: they have names, and take no signals.
#ifndef HOLDFAST_CORE_THREAD_HPP
#define HOLDFAST_CORE_THREAD_HPP

#include <holdfast/error.hpp>

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#if !defined(_WIN32)
#include <signal.h>
#endif

namespace holdfast {
inline namespace v0 {
namespace core {

/** A thread that is started while one of these lives takes no signals: those are the user's, and its threads' to
   handle.

    Blocks all of the calling thread's signals, and puts back what it found. Nothing where there are no signals.
*/
class HOLDFAST_API no_signals_here {
public:
    no_signals_here() noexcept;
    no_signals_here(const no_signals_here&) = delete;
    no_signals_here& operator=(const no_signals_here&) = delete;
    ~no_signals_here();

#if !defined(_WIN32)
private:
    sigset_t before_;
#endif
};

/// For debuggers and `ps`; at most 15 bytes count.
HOLDFAST_API void name_thread(std::thread::native_handle_type thread, const char* name) noexcept;

/// Starts a named thread that takes no signals. Throws `errc::unavailable` where there is none to be had.
template <class Body>
std::thread start_thread(const char* name, Body body) {
    const no_signals_here none;
    std::thread made;
    try {
        made = std::thread(std::move(body));
    } catch (const std::system_error& failed) {
        throw error(errc::unavailable, std::string("the thread '") + name + "' cannot be started: " + failed.what());
    }
    name_thread(made.native_handle(), name);
    return made;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
