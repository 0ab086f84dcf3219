#include <core/thread.hpp>

#include <pthread.h>

namespace holdfast {
inline namespace v0 {
namespace core {

no_signals_here::no_signals_here() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

no_signals_here::~no_signals_here() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void name_thread(std::thread::native_handle_type thread, const char* name) noexcept {
    ::pthread_setname_np(thread, name);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
