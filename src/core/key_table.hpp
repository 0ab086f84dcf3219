// The names of one provider that somebody uses.
#ifndef HOLDFAST_CORE_KEY_TABLE_HPP
#define HOLDFAST_CORE_KEY_TABLE_HPP

#include <core/fork.hpp>
#include <core/key_ref.hpp>
#include <core/key_state.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

namespace holdfast {
inline namespace v0 {
namespace core {

/** Names are compared as the backend sees them: two lock objects of one mapped name share a queue.

    Shared with what it gives out, since a backend may have to give something back after its provider's end.

    Thread safety: safe.
*/
class HOLDFAST_API key_table : public std::enable_shared_from_this<key_table> {
public:
    key_table() = default;
    key_table(const key_table&) = delete;
    key_table& operator=(const key_table&) = delete;

    /// The queue of @p mapped, made when nobody uses that name.
    key_ref use(std::string mapped);

private:
    friend class key_ref;
    void leave(key_state& key) noexcept;
    /// In a forked child the mutex may be somebody's who is not there, and nothing is used any more.
    bool forked() const noexcept { return generation_ != fork_generation(); }

    struct by_name {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
        std::size_t operator()(const key_state* key) const noexcept { return (*this)(key->mapped()); }
        bool operator()(const key_state* one, const key_state* other) const noexcept { return one == other; }
        bool operator()(std::string_view name, const key_state* key) const noexcept { return name == key->mapped(); }
        bool operator()(const key_state* key, std::string_view name) const noexcept { return name == key->mapped(); }
    };

    const unsigned generation_ = fork_generation();
    std::mutex mutex_;
    /// Owned, each as long as it has a user. No name is in it twice.
    std::unordered_set<key_state*, by_name, by_name> keys_;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
