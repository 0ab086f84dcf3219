#include <core/thread.hpp>

#if defined(__MINGW32__)
#include <pthread.h>
#endif

namespace holdfast {
inline namespace v0 {
namespace core {

// There are no signals that a thread could take.
no_signals_here::no_signals_here() noexcept = default;
no_signals_here::~no_signals_here() = default;

void name_thread(std::thread::native_handle_type thread, const char* name) noexcept {
#if defined(__MINGW32__)
    // Whose threads are POSIX threads.
    ::pthread_setname_np(thread, name);
#else
    (void)thread;
    (void)name;
#endif
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
