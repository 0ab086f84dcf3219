#include "say.hpp"

#include "printable.hpp"
#include "shared_output.hpp"

#include <algorithm>
#include <exception>

#include <unistd.h>

namespace holdfast::cli {
namespace {

/// A pipe takes so much (PIPE_BUF) in one piece.
constexpr std::size_t longest_line = 4096;

}  // namespace

void say(const std::string& text) noexcept {
    std::string line;
    try {
        line = "holdfast: " + printable_lines(text);
        line.resize(std::min(line.size(), longest_line - 1));
        line += '\n';
    } catch (const std::exception&) {
        // Without memory nothing is said.
        return;
    }
    // Opened at the first word, and kept.
    static const shared_output error(STDERR_FILENO);
    error.write(line, shared_output::longest_wait);
}

}  // namespace holdfast::cli
