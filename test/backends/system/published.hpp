// What tests look at beside the locks: the sets of semaphores that a directory of theirs has published.
#ifndef HOLDFAST_TEST_BACKENDS_SYSTEM_PUBLISHED_HPP
#define HOLDFAST_TEST_BACKENDS_SYSTEM_PUBLISHED_HPP

#include <backends/system/set_directory.hpp>
#include <support/second_process.hpp>

#include <holdfast/backends/system.hpp>

#include <fcntl.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace holdfast::test {

/// The first bytes of a published file, as docs/wire.md has them.
struct file_head {
    char magic[8];
    std::uint32_t version;
    std::uint32_t state;
    std::int32_t id;
    std::uint32_t unused;
    std::uint64_t ipc_namespace;
    char boot[40];
};

/// A directory of one test, with what it publishes.
class published_sets {
public:
    explicit published_sets(system::scope scope = system::scope::user) : here_("/dev/shm") {
        opts_.scope = scope;
        opts_.directory = here_ / "sets";
    }

    const system::options& opts() const noexcept { return opts_; }
    provider open(const provider_settings& settings = {}) const { return system::make_provider(opts_, settings); }

    const std::string& directory() const noexcept { return opts_.directory; }
    std::string file(const std::string& name = "tickets-0") const { return opts_.directory + "/" + name; }

    file_head head(const std::string& name = "tickets-0") const {
        file_head found{};
        const int file = ::open(this->file(name).c_str(), O_RDONLY | O_CLOEXEC);
        require(file >= 0 && ::read(file, &found, sizeof found) == sizeof found, "no published file " + name);
        ::close(file);
        return found;
    }
    void write_head(const file_head& made, const std::string& name = "tickets-0") const {
        const int file = ::open(this->file(name).c_str(), O_WRONLY | O_CLOEXEC);
        require(file >= 0 && ::pwrite(file, &made, sizeof made, 0) == sizeof made, "cannot write " + name);
        ::close(file);
    }
    int id(const std::string& name = "tickets-0") const { return head(name).id; }
    /// As ipcrm(1) does.
    void remove(const std::string& name = "tickets-0") const {
        require(::semctl(id(name), 0, IPC_RMID) == 0, "cannot remove the set");
    }

    /// What serves a name.
    system::set_directory::used_name find(const std::string& mapped) const {
        for (const auto& each : system::set_directory(opts_).names()) {
            if (each.mapped == mapped) return each;
        }
        require(false, mapped + " is not in use");
        return {};
    }
    /// How many of the kernel's waiters stand there.
    int waiters(const std::string& mapped) const { return waiters(find(mapped)); }
    /// The same, without looking for the name again.
    static int waiters(const system::set_directory::used_name& found) {
        int count = 0;
        for (int at = 0; at < 2; ++at) {
            if (at == 1 && found.kind == system::set_kind::tickets) break;
            count += ::semctl(found.semaphores, found.first + at, GETNCNT);
        }
        return count;
    }

    /// Removes the sets that this directory still has in the kernel. @return how many
    int leftovers() const {
        struct stat status {};
        if (::stat(opts_.directory.c_str(), &status) != 0) return 0;
        int count = 0;
        for (const auto kind : {system::set_kind::tickets, system::set_kind::readers}) {
            for (int ordinal = 0; ordinal < system::layout::most_sets; ++ordinal) {
                const mode_t mode = opts_.scope == system::scope::machine ? 0666 : 0600;
                count += system::remove_strays({kind, ordinal, status.st_dev, status.st_ino, mode}, -1, false);
            }
        }
        return count;
    }

private:
    temporary_directory here_;
    system::options opts_;
};

}  // namespace holdfast::test

#endif
