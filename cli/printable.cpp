#include "printable.hpp"

namespace holdfast::cli {
namespace {

std::string without_controls(std::string_view text, bool keeps_lines) {
    std::string made;
    made.reserve(text.size());
    while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text.front());
        const std::size_t length = sequence_length(text);
        // U+0080 to U+009F.
        const bool is_c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
        const bool is_control = is_c1 || byte < 0x20 || byte == 0x7F;
        if (length == 0 || (is_control && !(keeps_lines && byte == '\n'))) {
            made += '?';
        } else {
            made += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return made;
}

}  // namespace

std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto continues = [&](std::size_t at, unsigned low = 0x80, unsigned high = 0xBF) {
        return at < text.size() && byte(at) >= low && byte(at) <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = first == 0xED ? 0x9F : 0xBF;
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const unsigned low = first == 0xF0 ? 0x90 : 0x80;
        const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

std::string printable(std::string_view text) {
    return without_controls(text, false);
}

std::string printable_lines(std::string_view text) {
    return without_controls(text, true);
}

}  // namespace holdfast::cli
