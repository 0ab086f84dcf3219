#include "../default_directory.hpp"
#include "../environment.hpp"

#include <optional>

namespace holdfast::cli {

/// `holdfast\locks` in this user's local application data.
std::string usual_lock_directory() {
    const std::optional<std::string> path = environment_text("LOCALAPPDATA");
    const bool has_drive = path && path->size() >= 3 && (*path)[1] == ':' && ((*path)[2] == '\\' || (*path)[2] == '/');
    if (!has_drive) {
        throw directory_error(
            "LOCALAPPDATA names no directory for lock files; give one with --url file:///C:/DIRECTORY");
    }
    return *path + "\\holdfast\\locks";
}

/// As the path of a URL.
std::string default_lock_directory() {
    std::string made = "/";
    for (const char each : usual_lock_directory()) {
        constexpr char digits[] = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(each);
        const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        if (each == '\\') {
            made += '/';
        } else if (plain || each == '/' || each == ':' || each == '-' || each == '_' || each == '.') {
            made += each;
        } else {
            made += '%';
            made += digits[byte >> 4];
            made += digits[byte & 15];
        }
    }
    return made;
}

}  // namespace holdfast::cli
