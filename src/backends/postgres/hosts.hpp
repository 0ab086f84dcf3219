// The hosts of a connection string, whose names are looked up before libpq would do it, which blocks.
#ifndef HOLDFAST_BACKENDS_POSTGRES_HOSTS_HPP
#define HOLDFAST_BACKENDS_POSTGRES_HOSTS_HPP

#include <backends/postgres/options.hpp>
#include <core/fork.hpp>
#include <core/resolver.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// What stands between the commas; at least one, which may be empty.
std::vector<std::string> parts_of(std::string_view list);

/// One of the hosts that libpq tries in turn.
struct host {
    std::string name;
    /// Empty: libpq's default.
    std::string port;
};

/** What has to be looked up before connecting.

    Empty where libpq needs no names (sockets, addresses), where the string leaves them to a service's file, and where
   it is wrong, which libpq says better.
*/
std::vector<host> hosts_to_look_up(const connect_target& target);

/// A list of hosts in libpq's form, each with one of its addresses.
struct located_hosts {
    std::string names;
    std::string addresses;
    std::string ports;
    int count = 0;
    /// Why some of them are left out.
    std::string missing;
};

/** Lookups under way, with a descriptor that can be waited for.

    Thread safety: none.
*/
class host_lookup final : private core::notifier {
public:
    host_lookup(core::resolver& names, std::vector<host> all);
    host_lookup(const host_lookup&) = delete;
    host_lookup& operator=(const host_lookup&) = delete;
    ~host_lookup();

    /// Readable when `take` may have something new.
    int descriptor() const noexcept { return news_.get(); }
    /// False while some are still out.
    bool take(located_hosts& found);
    /// None of the addresses worked: they are asked for anew the next time.
    void forget() const;

private:
    struct entry {
        host which;
        /// Null once it has answered, and where there is nothing to ask.
        std::shared_ptr<core::resolver::lookup> asked;
        std::vector<core::socket_address> found;
        std::string failed;
    };

    void notify(unsigned what) noexcept override;
    void abandon() noexcept;

    core::resolver& names_;
    core::forked_descriptor news_;
    std::vector<entry> all_;
};

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
