// What `holdfast run` tells of itself.
#ifndef HOLDFAST_CLI_RUN_REPORTER_HPP
#define HOLDFAST_CLI_RUN_REPORTER_HPP

#include "acquisition.hpp"
#include "json_events.hpp"
#include "run_options.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::cli {

/// Steps as JSON lines and, with -v, as text.
class run_reporter final : public acquisition_listener {
public:
    /// @throws usage_error where the events cannot go where they are to go
    explicit run_reporter(const run_options& options);

    void waiting(const std::string& name, const std::string& holder) override;
    void acquired(const std::string& name, std::optional<std::uint64_t> fencing, nanoseconds after) override;
    void released(const std::string& name) override;
    void release_failed(const std::string& name, const std::string& reason) override;
    void conflict(const std::string& name);
    void interrupted(int signal);
    void started(std::int64_t process);
    void lost(const std::string& name);
    /// Before the command was started, or without that it was noticed while it ran.
    void found_lost(const std::string& name);
    void exited(std::int64_t status);
    void died_of(int signal);
    /// @return @p code
    int failed(int code, const std::string& message);

    /// Whether anybody wants to know of the command's start.
    bool wants_start() const noexcept { return verbose_ || events_.enabled(); }

private:
    void ended(const char* how, const char* member, std::int64_t value);

    bool verbose_;
    json_events events_;
};

}  // namespace holdfast::cli

#endif
