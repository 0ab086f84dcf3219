#include <backends/system/options.hpp>

#include <charconv>
#include <string_view>
#include <system_error>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

[[noreturn]] void refuse(const char* message) {
    throw error(errc::invalid_options, std::string("system: ") + message);
}

/// "2s", "500ms" or "never".
std::chrono::milliseconds cadence(const std::string& text) {
    if (text == "never") return std::chrono::milliseconds::max();
    long long count = 0;
    const char* const end = text.data() + text.size();
    const auto [unit, failed] = std::from_chars(text.data(), end, count);
    const std::string_view rest(unit, static_cast<std::size_t>(end - unit));
    constexpr long long most = 1'000'000;
    if (failed == std::errc() && count > 0 && count <= most) {
        if (rest == "ms") return std::chrono::milliseconds(count);
        if (rest == "s") return std::chrono::seconds(count);
    }
    refuse("'abandonment_check' is a time, such as 2s or 500ms, or never");
}

}  // namespace

void check(const options& opts) {
    if (opts.scope != scope::user && opts.scope != scope::machine) refuse("'scope' is user or machine");
    check_here(opts);
}

options options_from(const url& address) {
    if (address.has_authority() || !address.path().empty()) {
        refuse("a URL takes neither host nor path: write system: or system:?scope=machine");
    }
    options made;
    option_reader reader(address);
    if (const auto text = reader.text("scope")) {
        if (*text != "user" && *text != "machine") refuse("'scope' is user or machine");
        made.scope = *text == "machine" ? scope::machine : scope::user;
    }
    if (const auto text = reader.text("directory")) {
        if (text->empty()) refuse("'directory' is empty; leave it out, or name an absolute path");
        made.directory = *text;
    }
    made.exact_names = reader.boolean("exact_names").value_or(false);
    if (const auto text = reader.text("abandonment_check")) made.abandonment_check = cadence(*text);
    reader.finish();
    return made;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
