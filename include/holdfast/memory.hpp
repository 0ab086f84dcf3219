// Holdfast: locks within one process, for the tests of programs that use locks.
#ifndef HOLDFAST_MEMORY_HPP
#define HOLDFAST_MEMORY_HPP

#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>

#include <chrono>
#include <memory>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {
class memory_backend;
}  // namespace core

/** @brief A provider whose locks live in this object: every kind of lock, no server, and faults on request.

    For testing code that takes a @ref provider: its locks behave like a server's, and can be lost, slow or broken at
    the test's word. Copies share their locks; two separately made ones do not.

    @par Thread safety
    Distinct objects: safe. Shared objects: safe.
*/
class HOLDFAST_API memory_provider {
public:
    explicit memory_provider(const provider_settings& settings = {});

    /// The provider to give to the code under test.
    operator provider() const { return provider_; }  // NOLINT(google-explicit-constructor)
    const provider& get() const noexcept { return provider_; }

    lock make_lock(std::string_view name) const { return provider_.make_lock(name); }
    reader_writer_lock make_reader_writer_lock(std::string_view name) const {
        return provider_.make_reader_writer_lock(name);
    }
    upgradeable_reader_writer_lock make_upgradeable_reader_writer_lock(std::string_view name) const {
        return provider_.make_upgradeable_reader_writer_lock(name);
    }
    semaphore make_semaphore(std::string_view name, int max_count) const {
        return provider_.make_semaphore(name, max_count);
    }

    /** @brief Takes every hold of @p name away from its holder, as a killed session or an expired lease would.
        @return how many holds were lost
    */
    int lose(std::string_view name);

    /// Makes every answer from now on come this late; zero for at once.
    void set_delay(std::chrono::milliseconds delay);

    /// Makes the next @p count requests of any kind fail with @p code, leaving the locks as they were. A release that
    /// fails gives its lock back all the same, as the end of its session would.
    void fail_next(errc code, int count = 1);

private:
    std::shared_ptr<core::memory_backend> backend_;
    provider provider_;
};

/// @brief Serves the scheme `memory`: `memory:` is one set of locks for the whole process.
HOLDFAST_API void add_memory_to(registry& target);

}  // namespace v0
}  // namespace holdfast

#endif
