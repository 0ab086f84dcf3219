// Compiled into each program that benches, with the backends that it links.
#include "rows.hpp"

#include "file_rows.hpp"
#include "memory_rows.hpp"
#if defined(HOLDFAST_WITH_POSTGRES)
#include "postgres_rows.hpp"
#endif
#if defined(HOLDFAST_WITH_SYSTEM)
#include "system_rows.hpp"
#endif
#if defined(HOLDFAST_WITH_REDIS)
#include "redis_rows.hpp"
#endif

#include <holdfast/error.hpp>

#include <cstdlib>
#include <filesystem>

namespace holdfast::bench {
namespace {

/// A directory of our own, removed at the end with all that is in it.
class scratch_directory {
public:
    explicit scratch_directory(const std::string& below) : path_(below + "/holdfast-bench-XXXXXX") {
        std::filesystem::create_directories(below);
        if (::mkdtemp(path_.data()) == nullptr) {
            throw error(errc::invalid_options, "cannot make a directory in '" + below + "'");
        }
    }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

}  // namespace

bool measure_rows(const url& address, [[maybe_unused]] const std::string& text, const std::string& command,
                  const reporter& report) {
    if (address.scheme() == "memory") {
        memory_rows(report);
    } else if (address.scheme() == "file") {
        const scratch_directory scratch(address.path().empty() ? "/dev/shm" : address.path());
        file_rows(scratch.path(), report);
        startup_rows(scratch.path(), command, report);
#if defined(HOLDFAST_WITH_SYSTEM)
    } else if (address.scheme() == "system") {
        const scratch_directory scratch("/dev/shm");
        system_rows(scratch.path() + "/sets", report);
#endif
#if defined(HOLDFAST_WITH_POSTGRES)
    } else if (address.scheme() == "postgres" || address.scheme() == "postgresql") {
        postgres_rows(text, report);
#endif
#if defined(HOLDFAST_WITH_REDIS)
    } else if (address.scheme() == "redis") {
        redis_rows(text, report);
#endif
    } else {
        return false;
    }
    return true;
}

}  // namespace holdfast::bench
