// What a directory publishes of a set. Part of the protocol between Holdfast processes: see docs/wire.md.
#ifndef HOLDFAST_BACKENDS_SYSTEM_PUBLISHED_FILE_HPP
#define HOLDFAST_BACKENDS_SYSTEM_PUBLISHED_FILE_HPP

#include <holdfast/config.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace system {

inline constexpr std::array<char, 8> file_magic{'H', 'F', 'S', 'E', 'T', 'S', '\r', '\n'};
inline constexpr std::uint32_t file_version = 1;
inline constexpr std::uint32_t being_made = 1;
inline constexpr std::uint32_t is_published = 2;

/// The first page of a published file. All numbers are the machine's own: it is of one boot of one machine.
struct header {
    std::array<char, 8> magic = file_magic;
    std::uint32_t version = file_version;
    std::uint32_t state = being_made;
    std::int32_t id = -1;
    std::uint32_t unused = 0;
    std::uint64_t ipc_namespace = 0;
    std::array<char, 40> boot{};
};

/// Which boot of the machine this is, and which of its IPC namespaces; false without /proc.
bool look_at_place(header& here);

/** Removes this user's sets that were published in @p directory before it was deleted and made anew, as far as
   processes still use them: those that this user may look into.

    Whoever has one does not exclude those who come to the new directory, and is told in this way.
    @return how many
*/
int remove_orphans(const std::string& directory);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
