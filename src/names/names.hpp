// What each backend makes of a lock's name, bit by bit as DistributedLock for .NET does it, so that both meet.
//
// Pure functions of UTF-8 text (file paths also look at the current directory, when they are relative). All of them
// throw error(errc::invalid_name) for text that is not UTF-8, and for names that .NET would refuse. "Units" are UTF-16
// units throughout: that is what .NET counts.
#ifndef HOLDFAST_SRC_NAMES_NAMES_HPP
#define HOLDFAST_SRC_NAMES_NAMES_HPP

#include <holdfast/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace names {

/// Whether the name is mapped to one the backend surely accepts, or is the backend's own name and must fit.
enum class mode { mapped, exact };

/// A legible prefix, a hash and ".lock": at most 64 units, the same for every directory.
HOLDFAST_API std::string file_name(std::string_view name);

/** The absolute path of a lock's file.

    @p directory may be any bytes but NUL. It is made absolute and cleaned of `.`, `..` and doubled separators; symbolic
    links stay. An empty one, or one with a NUL, is `errc::invalid_options`.
*/
HOLDFAST_API std::string file_path(std::string_view directory, std::string_view name);

/// The absolute, cleaned path of a user's own file. It may not be empty, end in a separator or hold a NUL.
HOLDFAST_API std::string exact_file_path(std::string_view path);

/// The Windows kernel object: `Global\` and the name. Exact names start with it, and are at most 260 units.
HOLDFAST_API std::string system_object(std::string_view name, mode how = mode::mapped);

/// An advisory lock's key. The two spaces do not overlap.
struct postgres_key {
    enum class space { int64, int32_pair };

    space in = space::int64;
    /// In `space::int64`.
    std::int64_t key = 0;
    /// In `space::int32_pair`.
    std::int32_t key1 = 0;
    std::int32_t key2 = 0;
    /// What .NET calls the lock; as a name, it gives this key again.
    std::string text;

    friend bool operator==(const postgres_key& a, const postgres_key& b) noexcept {
        return a.in == b.in && a.key == b.key && a.key1 == b.key1 && a.key2 == b.key2;
    }
};

/// Short ASCII, 16 hexadecimal digits, or twice 8 with a comma between; any other name is hashed, if that is allowed.
HOLDFAST_API postgres_key postgres(std::string_view name, bool allow_hashing = true);

/// GET_LOCK's argument: lower case, at most 64 units.
HOLDFAST_API std::string mysql(std::string_view name, mode how = mode::mapped);

/// sp_getapplock's resource: at most 255 units.
HOLDFAST_API std::string sqlserver(std::string_view name, mode how = mode::mapped);
/// What the names of a semaphore's application locks and tables are built from.
HOLDFAST_API std::string sqlserver_semaphore(std::string_view name);

/// DBMS_LOCK's name: at most 128 units. Oracle itself counts bytes, and reserves `ORA$`.
HOLDFAST_API std::string oracle(std::string_view name, mode how = mode::mapped);

/// The key of locks and semaphores: the name.
HOLDFAST_API std::string redis(std::string_view name);

struct redis_rw_keys {
    std::string readers;
    std::string writer;
};
HOLDFAST_API redis_rw_keys redis_rw(std::string_view name);

/// The document's `_id`: the name.
HOLDFAST_API std::string mongodb(std::string_view name);

/// The node below @p directory, which is `/` or a valid path (`errc::invalid_options` if not).
HOLDFAST_API std::string zookeeper(std::string_view name, std::string_view directory = "/");
/// A node's own path; not `/`.
HOLDFAST_API std::string zookeeper_exact(std::string_view path);

enum class azure_service { cloud, emulator };
/** The blob's name: at most 1024 units, or 256 in the emulator.

    Without slashes at the ends and without `.` and `..` as segments, for .NET's client resolves them. A name that `..`
    takes out of the container is refused.
*/
HOLDFAST_API std::string azure(std::string_view name, azure_service service = azure_service::cloud);
/// A blob's own name; not empty, for that would be the container.
HOLDFAST_API std::string azure_exact(std::string_view name);

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
