#include <backends/file/options.hpp>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

[[noreturn]] void refuse(const char* message) {
    throw error(errc::invalid_options, std::string("file: ") + message);
}

}  // namespace

void check(const options& opts) {
    if (opts.exact_paths && !opts.directory.empty()) {
        refuse("exact paths and a directory exclude each other");
    }
    if (!opts.exact_paths && opts.directory.empty()) {
        refuse("a directory is needed, as in file:///var/lock/app; or exact paths, as in file:");
    }
    if (opts.directory.find('\0') != std::string::npos) refuse("the directory's name holds a NUL");
    if (opts.exact_paths && opts.keep_files) refuse("exact paths are kept anyway; leave 'keep' out");
    if (!opts.exact_paths && opts.delete_exact_files)
        refuse("'delete' is for exact paths; directory locks are deleted");
    if (opts.exact_paths && opts.private_directory) refuse("'private' is for a directory, not for exact paths");
    check_here(opts);
}

options options_from(const url& address) {
    if (!address.authority().empty() && address.authority() != "localhost") {
        refuse("a URL names no host: write file:///path with three slashes");
    }
    if (address.user() || address.password()) refuse("a URL takes no user and no password");
    options made;
    made.directory = directory_in_url(address.path());
    made.exact_paths = made.directory.empty();
    if (address.has_authority() && made.exact_paths) refuse("the path is missing: write file:///var/lock/app");
    option_reader reader(address);
    made.keep_files = reader.boolean("keep").value_or(false);
    made.delete_exact_files = reader.boolean("delete").value_or(false);
    made.allow_remote = reader.boolean("remote").value_or(false);
    made.private_directory = reader.boolean("private").value_or(false);
    reader.finish();
    return made;
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
