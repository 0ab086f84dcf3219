#include "printable.hpp"

namespace holdfast::cli {
namespace {

std::string without_controls(std::string_view text, bool keeps_lines) {
    std::string made;
    made.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0;
        // U+0080 to U+009F.
        const bool is_c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
        if (is_c1) ++at;
        const bool is_control = is_c1 || byte < 0x20 || byte == 0x7F;
        made += is_control && !(keeps_lines && byte == '\n') ? '?' : text[at];
    }
    return made;
}

}  // namespace

std::string printable(std::string_view text) {
    return without_controls(text, false);
}

std::string printable_lines(std::string_view text) {
    return without_controls(text, true);
}

}  // namespace holdfast::cli
