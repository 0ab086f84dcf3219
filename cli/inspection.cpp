#include "inspection.hpp"

#include "acquisition.hpp"
#include "default_directory.hpp"
#include "exit_codes.hpp"
#include "printable.hpp"
#include "secrets.hpp"

#include <holdfast/error.hpp>

#include <cstdio>
#include <system_error>

namespace holdfast::cli {

int inspect(const std::string& verb, const std::optional<std::string>& address, const program_arguments& all,
            const std::function<int(const provider&)>& look) {
    const auto fail = [&](int status, const char* text) {
        std::fprintf(stderr, "holdfast %s: %s\n", verb.c_str(), printable_lines(text).c_str());
        return status;
    };
    try {
        run_options options;
        options.url = address;
        const auto chosen = chosen_url(options);
        const std::string url = chosen ? *chosen : "file://" + default_lock_directory();
        use_drivers_for(url, all);
        hide_secrets(url, all);
        const int status = look(open_provider(url));
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            return fail(exit_code::io, "standard output cannot be written");
        }
        return status;
    } catch (const error& failure) {
        return fail(exit_code::of(failure), failure.what());
    } catch (const directory_error& failure) {
        return fail(exit_code::cannot_create, failure.what());
    } catch (const usage_error& failure) {
        return fail(exit_code::usage, failure.what());
    } catch (const std::system_error& failure) {
        return fail(exit_code::os_error, failure.what());
    }
}

}  // namespace holdfast::cli
