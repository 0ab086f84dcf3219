// What is asked of a backend: one name, and one way of holding it.
#ifndef HOLDFAST_CORE_CLAIM_HPP
#define HOLDFAST_CORE_CLAIM_HPP

#include <core/key_ref.hpp>
#include <core/owner_id.hpp>

#include <holdfast/detail/primitive.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace holdfast {
inline namespace v0 {
namespace core {

using detail::access;

/// Which of the public lock types a name was given to.
enum class primitive_kind { lock, reader_writer_lock, upgradeable_reader_writer_lock, semaphore };

/** A name that a lock object was made for. Shared by the lock's copies, operations and handles.

    Thread safety: immutable.
*/
class HOLDFAST_API resource {
public:
    resource(key_ref known_as, primitive_kind what, std::string_view name, int tickets = 1);
    resource(const resource&) = delete;
    resource& operator=(const resource&) = delete;
    ~resource();

    /// As the user gave it.
    std::string_view name() const noexcept { return name_; }
    /// The backend's own name for it.
    const std::string& mapped() const noexcept;

    /// The queue of those in this process who want it.
    const key_ref key;
    const primitive_kind kind;
    const int max_count;

private:
    /// Most backends' names have the user's in them, and then that is not kept twice.
    std::unique_ptr<char[]> own_name_;
    std::string_view name_;
};

struct claim {
    std::shared_ptr<const resource> target;
    access mode = access::exclusive;
    /// Who we are to a lease backend: new for every acquire, from the operating system's random source.
    owner_id owner = {};
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
