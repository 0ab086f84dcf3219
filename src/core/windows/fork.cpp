// There are no forks. `forked_descriptor` is not there either: nothing has lock descriptors.
#include <core/fork.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

no_fork_here::no_fork_here() noexcept = default;
no_fork_here::~no_fork_here() = default;

unsigned fork_generation() noexcept {
    return 0;
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
