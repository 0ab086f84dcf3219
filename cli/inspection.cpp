#include "inspection.hpp"

#include "acquisition.hpp"
#include "default_directory.hpp"
#include "exit_codes.hpp"

#include <holdfast/error.hpp>

#include <cstdio>

namespace holdfast::cli {

int inspect(const std::string& verb, const std::string& address, const program_arguments& all,
            const std::function<int(const provider&)>& look) {
    const auto fail = [&](int status, const char* text) {
        std::fprintf(stderr, "holdfast %s: %s\n", verb.c_str(), text);
        return status;
    };
    try {
        run_options options;
        if (!address.empty()) options.url = address;
        const auto chosen = chosen_url(options);
        const std::string url = chosen ? *chosen : "file://" + default_lock_directory();
        use_drivers_for(url, all);
        return look(open_provider(url));
    } catch (const error& failure) {
        const bool wrong = failure.boost_code() == errc::invalid_options;
        return fail(wrong ? exit_code::configuration : exit_code::unavailable, failure.what());
    } catch (const directory_error& failure) {
        return fail(exit_code::cannot_create, failure.what());
    } catch (const usage_error& failure) {
        return fail(exit_code::usage, failure.what());
    }
}

}  // namespace holdfast::cli
