#include "names/path.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

struct free_memory {
    void operator()(char* memory) const noexcept { std::free(memory); }
};

}  // namespace

const char path_separator = '/';

// `/a/` stays, but `/a/.` is `/a`.
std::string full_path(std::string_view path, errc code) {
    std::string absolute;
    if (path.front() != path_separator) {
        const std::unique_ptr<char, free_memory> current(::getcwd(nullptr, 0));
        if (!current) {
            throw error(code, "the path '" + std::string(path) +
                                  "' is relative, and there is no current directory any more; give an absolute path");
        }
        absolute.append(current.get()).append(1, path_separator);
    }
    absolute.append(path);

    std::string result;
    result.reserve(absolute.size());
    const std::string_view rest = absolute;
    for (std::size_t at = 0; at < rest.size();) {
        // Here rest[at] is a separator; take it with the name that follows.
        const std::size_t end = std::min(rest.find(path_separator, at + 1), rest.size());
        const std::string_view name = rest.substr(at + 1, end - at - 1);
        if (name == "..") {
            result.resize(result.empty() ? 0 : result.rfind(path_separator));
        } else if (name != "." && (!name.empty() || end == rest.size())) {
            result.append(1, path_separator).append(name);
        }
        at = end;
    }
    if (result.empty()) result = path_separator;
    return result;
}

}  // namespace names
}  // namespace v0
}  // namespace holdfast
