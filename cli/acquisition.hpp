// Getting the locks of a command line.
#ifndef HOLDFAST_CLI_ACQUISITION_HPP
#define HOLDFAST_CLI_ACQUISITION_HPP

#include "run_options.hpp"
#include "wait_notice.hpp"
#include "wait_signals.hpp"
#include "watched_lock.hpp"

#include <holdfast/core.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

/// Is told of the acquisition's steps.
class acquisition_listener {
public:
    acquisition_listener() = default;
    acquisition_listener(const acquisition_listener&) = delete;
    acquisition_listener& operator=(const acquisition_listener&) = delete;
    virtual ~acquisition_listener() = default;

    /// @p holder: who has the lock, as far as this machine can tell; else empty.
    virtual void waiting(const std::string& name, const std::string& holder) = 0;
    virtual void acquired(const std::string& name, std::optional<std::uint64_t> fencing, nanoseconds after) = 0;
    virtual void released(const std::string& name) = 0;
    /// A release that failed; the lock ends with its session or lease.
    virtual void release_failed(const std::string& name, const std::string& reason) = 0;
};

/// All locks of a command line: made, acquired, released.
class acquisition {
public:
    enum class outcome {
        /// All are held.
        held,
        /// One was held elsewhere until the timeout. None is held.
        conflict,
        /// A signal ended the wait. None is held.
        interrupted,
        /// One that was held already was lost while another one was waited for. None is held.
        lost,
    };

    /** Makes the providers and the locks; asks nobody anything.

        @param url as `chosen_url` says
        @throws error, usage_error, directory_error */
    acquisition(const run_options& options, std::optional<std::string> url, acquisition_listener& listener);

    /** Acquires them one after the other within one timeout.

        @throws error; none is held then */
    outcome acquire(int signal_descriptor);
    /// After `conflict`: the name that was held elsewhere; after `lost`: the lost one.
    const std::string& refused() const noexcept { return refused_; }
    /// After `interrupted`: the signal.
    int signal() const noexcept { return signal_; }

    /// For the command's environment.
    std::optional<std::uint64_t> fencing(std::size_t index) const;
    /// Descriptors of lock files, for the command to inherit.
    std::vector<int> descriptors() const;
    /// Whether the kernel keeps every lock by a descriptor.
    bool are_files() const;
    std::vector<watched_lock> watched() const;

    /// Releases all, the last first, and tells nobody yet. A second signal ends holdfast meanwhile. @return false where
    /// one turned out to be lost
    bool release() noexcept;
    /// Tells the listener of what has been released since.
    void report_release();

private:
    using acquire_function = std::function<lock_handle(timeout, std::stop_token, error_code&, diagnostics*)>;

    struct entry {
        std::string name;
        /// The mapped name.
        std::string key;
        /// Kept by a descriptor of ours, on this machine.
        bool is_file = false;
        bool is_semaphore = false;
        /// No server's.
        bool is_local = false;
        const provider* source = nullptr;
        acquire_function acquire;
        bool try_first = false;
        bool can_be_lost = false;
        lock_handle handle;
        bool released = false;
        /// Why that failed.
        std::string failure = {};
    };

    void make_entry(const lock_request& request);
    void check_for_twins() const;
    static bool are_twins(const entry& one, const entry& other);
    const entry* lost_one() const;
    const provider& named_locks();
    const provider& exact_files();
    bool acquire_one(entry& target, std::optional<boottime::time_point> deadline);
    wait_notice* tell_of_wait(const entry& target, std::optional<boottime::time_point> deadline);
    /// Whether anybody is told.
    bool tells_steps() const noexcept { return options_.verbose || options_.events; }
    void listen_again() noexcept;
    /// @return the signal that came, or 0
    int stop_listening() noexcept;

    const run_options& options_;
    acquisition_listener& listener_;
    std::optional<std::string> url_;
    std::optional<provider> named_;
    std::optional<provider> exact_;
    std::vector<entry> entries_;
    int signal_descriptor_ = -1;
    std::unique_ptr<wait_signals> signals_;
    /// A server may still be asked when its lock is held already.
    std::vector<std::unique_ptr<wait_notice>> notices_;
    std::string refused_;
    int signal_ = 0;
};

/// The URL that the options and the environment give; none: the default directory. @throws usage_error
std::optional<std::string> chosen_url(const run_options& options);

}  // namespace holdfast::cli

#endif
