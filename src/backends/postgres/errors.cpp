#include <backends/postgres/errors.hpp>

#include <algorithm>
#include <iterator>

namespace holdfast {
inline namespace v0 {
namespace postgres {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    return text;
}

errc code_of(std::string_view sqlstate) noexcept {
    const std::string_view group = sqlstate.substr(0, 2);
    if (sqlstate == "55P03") return errc::timed_out;
    if (sqlstate == "40P01") return errc::deadlock;
    if (sqlstate == "42501" || group == "28") return errc::permission;
    // Among them settings that are none, or have no such value.
    if (group == "3D" || sqlstate == "42P01" || sqlstate == "42602" || sqlstate == "42704" || sqlstate == "22023") {
        return errc::invalid_options;
    }
    if (sqlstate == "25006" || sqlstate == "42883" || sqlstate == "0A000") return errc::unsupported;
    if (group == "53" || group == "57" || group == "08" || group == "58" || sqlstate.empty()) return errc::unavailable;
    return errc::protocol;
}

std::string without_details(std::string_view message, std::string& sqlstate) {
    std::string made;
    while (!message.empty()) {
        const auto end = message.find('\n');
        std::string line(message.substr(0, end));
        message = end == std::string_view::npos ? std::string_view() : message.substr(end + 1);
        if (line.starts_with("LOCATION:")) continue;
        for (const std::string_view severity : {"FATAL:  ", "ERROR:  "}) {
            const auto at = line.find(severity);
            if (at == std::string::npos || line.size() < at + severity.size() + 6) continue;
            sqlstate = line.substr(at + severity.size(), 5);
            line.erase(at + severity.size(), 7);
        }
        made += (made.empty() ? "" : "\n") + line;
    }
    return std::string(trimmed(made));
}

errc code_of_refusal(std::string_view sqlstate, std::string_view text) noexcept {
    // What libpq says, untranslated, of options that it does not understand. It has no number for that.
    constexpr std::string_view mistakes[] = {"invalid ", "definition of service", "service file", "could not match"};
    const bool mistake = sqlstate.empty() && std::any_of(std::begin(mistakes), std::end(mistakes),
                                                         [&](std::string_view each) { return text.starts_with(each); });
    return mistake ? errc::invalid_options : code_of(sqlstate);
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
