#include "../say.hpp"
#include "../printable.hpp"

#include <cstdio>
#include <exception>

namespace holdfast::cli {

void say(const std::string& text) noexcept {
    try {
        const std::string line = "holdfast: " + printable_lines(text) + '\n';
        std::fwrite(line.data(), 1, line.size(), stderr);
        // Not every C runtime does that by itself.
        std::fflush(stderr);
    } catch (const std::exception&) {
        // Without memory nothing is said.
    }
}

}  // namespace holdfast::cli
