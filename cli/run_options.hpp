// What `holdfast run` was told to do.
#ifndef HOLDFAST_CLI_RUN_OPTIONS_HPP
#define HOLDFAST_CLI_RUN_OPTIONS_HPP

#include "duration.hpp"
#include "exit_codes.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::cli {

/// One lock of the command line.
struct lock_request {
    enum class kind { lock, read, write, semaphore, exact };
    lock_request::kind what = kind::lock;
    std::string name;
    /// Semaphores: the number of tickets.
    int tickets = 0;
};

/// Where events go.
struct event_target {
    int number = 0;
    /// Windows: a handle; else a descriptor.
    bool is_handle = false;
};

struct run_options {
    bool help = false;
    /// In the order given, which is that of acquisition.
    std::vector<lock_request> locks;
    std::optional<std::string> url;
    /// Where the URL stands in argv, to be masked there.
    char* url_argument = nullptr;
    time_limit timeout;
    time_limit kill_after = std::chrono::seconds(5);
    int conflict_exit_code = exit_code::conflict;
    bool verbose = false;
    std::optional<event_target> events;
    bool keep_files = false;
    bool keep_until_children_exit = false;
    bool close_descriptors = false;
    /// Ends with a null pointer.
    char** command = nullptr;
};

/// The command line is wrong; the text says how to make it right.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/** Reads the arguments that follow `holdfast run`.

    By hand and not with CLI11, which serves the other subcommands: locks are acquired in the order in which different
    options and plain names stand, a name may be any text (CLI11 takes `[a,b]` apart), and building its options costs
    70 us of the 1 ms that all of `holdfast run` may take.

    @throws usage_error
*/
run_options parse_run_options(int count, char** arguments);

/// The text of `holdfast run --help`.
const char* run_help() noexcept;

}  // namespace holdfast::cli

#endif
