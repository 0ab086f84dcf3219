#include <backends/system/options.hpp>

namespace holdfast {
inline namespace v0 {
namespace system {
namespace {

[[noreturn]] void refuse(const char* message) {
    throw error(errc::invalid_options, std::string("system: ") + message);
}

}  // namespace

void check(const options& opts) {
    if (opts.scope != scope::user && opts.scope != scope::machine) refuse("'scope' is user or machine");
    if (!opts.directory.empty() && opts.directory.front() != '/') {
        refuse("the directory must be absolute, as in system:?directory=/dev/shm/app");
    }
    if (opts.directory.find('\0') != std::string::npos) refuse("the directory's name holds a NUL");
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
    reader.finish();
    return made;
}

}  // namespace system
}  // namespace v0
}  // namespace holdfast
