// What a fork does to us: everything made before it is dead in the child.
#ifndef HOLDFAST_CORE_FORK_HPP
#define HOLDFAST_CORE_FORK_HPP

#include <holdfast/config.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

/// Counts the forks that lie between this process and the one that loaded the library. Cheap: a load.
HOLDFAST_API unsigned fork_generation() noexcept;

/// While one of these lives, no fork happens. For short stretches.
class HOLDFAST_API no_fork_here {
public:
    no_fork_here() noexcept;
    no_fork_here(const no_fork_here&) = delete;
    no_fork_here& operator=(const no_fork_here&) = delete;
    ~no_fork_here();
};

/** A lock's descriptor, which a forked child must close, and only close, at once.

    Otherwise the child, which does not even know of it, would keep the lock after the holder's death.

    Thread safety: distinct objects safe.
*/
class HOLDFAST_API forked_descriptor {
public:
    forked_descriptor() noexcept = default;
    forked_descriptor(const forked_descriptor&) = delete;
    forked_descriptor& operator=(const forked_descriptor&) = delete;
    ~forked_descriptor();

    /// Takes what @p open returns (-1: nothing) over; the previous one is closed. No fork happens meanwhile, so no
    /// child can inherit a descriptor that is not on the list yet.
    template <class Open>
    int open_with(Open open) noexcept {
        const no_fork_here guard;
        const int made = open();
        reset(made);
        return made;
    }
    void reset(int descriptor = -1) noexcept;
    /// Gives the descriptor back to whoever closes it.
    void release() noexcept;
    int get() const noexcept { return descriptor_; }

private:
    friend struct descriptor_list;

    int descriptor_ = -1;
    forked_descriptor* next_ = nullptr;
    forked_descriptor* previous_ = nullptr;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
