// What the contract suite needs to know of a backend: where its locks live, and how they can be destroyed.
#ifndef HOLDFAST_TEST_CONTRACT_ENVIRONMENT_HPP
#define HOLDFAST_TEST_CONTRACT_ENVIRONMENT_HPP

#include <holdfast/provider.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::contract {

/// Bounds that differ from backend to backend. The defaults suit a backend on this machine.
struct limits {
    /// How many may ask for one name at once; the suite asks for 100 where it can.
    int concurrent_acquirers = 100;
    /// How many tickets the widest semaphore of the suite has in use at once.
    int concurrent_tickets = 100;
    /// How often races are run.
    int race_rounds = 100;
    /// By how much a call may outlast its timeout: round trips and a busy machine. Not a target, only less than a hang.
    std::chrono::milliseconds slack = std::chrono::milliseconds(1500);
    /// How long something that must happen may take to do so.
    std::chrono::milliseconds patience = std::chrono::seconds(20);
    /// How long a destroyed hold may stay unnoticed.
    std::chrono::milliseconds loss_noticed = std::chrono::seconds(10);
};

/** One place where locks live: a server, a directory, a table in memory. A new one is made for each test.

    The constructor must not fail where the place cannot be had; `make_provider` may.
*/
class environment {
public:
    environment() = default;
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    virtual ~environment() = default;

    /// A provider of its own on the same place: two of them are to each other what two programs would be.
    virtual provider make_provider(const provider_settings& settings = {}) = 0;

    /// A name that nobody else uses, in a form that this environment takes. The default is plain text.
    virtual std::string unique_name();

    /// False where names are something else than any UTF-8 text, such as paths.
    virtual bool takes_any_name() const { return true; }
    /// False where names are paths of files that are one file in either case.
    virtual bool tells_case_apart() const { return true; }
    /// False where a name is refused that holds a NUL.
    virtual bool takes_nul() const { return true; }

    /** Destroys all holds of @p name on the server's side, as the end of a session or of a lease would.

        @param mapped what the name is on the backend, as `mapped_name()` of the lock says
        @return how many there were; nullopt where this environment cannot do that
    */
    virtual std::optional<int> lose_holds(std::string_view name, std::string_view mapped) {
        (void)name;
        (void)mapped;
        return std::nullopt;
    }

    virtual contract::limits limits() const { return {}; }
};

/// One way of running a backend, for instance with one set of options.
struct environment_variant {
    /// Letters, digits and underscores; part of the tests' names.
    std::string name;
    /// What its providers say of themselves, known without making one: tests of what is missing are left out.
    holdfast::capabilities can;
    std::function<std::unique_ptr<environment>()> make;
};

/** The seam between the suite and a backend: `test/backends/<backend>/environment.cpp` defines this function.

    Called to list the tests, too, so it must not look for a server.
*/
std::vector<environment_variant> environment_variants();

}  // namespace holdfast::contract

#endif
