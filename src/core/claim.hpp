// What is asked of a backend: one name, and one way of holding it.
#ifndef HOLDFAST_CORE_CLAIM_HPP
#define HOLDFAST_CORE_CLAIM_HPP

#include <core/owner_id.hpp>

#include <holdfast/detail/primitive.hpp>

#include <memory>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace core {

using detail::access;

/// Which of the public lock types a name was given to.
enum class primitive_kind { lock, reader_writer_lock, upgradeable_reader_writer_lock, semaphore };

class key_state;

/// A name that a lock object was made for. Immutable, shared by the lock's copies, operations and handles.
struct HOLDFAST_API resource {
    std::string name;
    /// The backend's own name for it, and the queue of those in this process who want it.
    std::shared_ptr<key_state> key;
    primitive_kind kind = primitive_kind::lock;
    int max_count = 1;

    const std::string& mapped() const noexcept;
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
