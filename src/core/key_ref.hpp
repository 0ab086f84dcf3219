// Who uses a name of a provider.
#ifndef HOLDFAST_CORE_KEY_REF_HPP
#define HOLDFAST_CORE_KEY_REF_HPP

#include <holdfast/config.hpp>

#include <memory>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

class key_state;
class key_table;

/// Keeps a name's queue in its table, as long as it lives itself.
class HOLDFAST_API key_ref {
public:
    key_ref() = default;
    key_ref(key_ref&& other) noexcept : table_(std::move(other.table_)), key_(std::exchange(other.key_, nullptr)) {}
    key_ref& operator=(key_ref&& other) noexcept {
        std::swap(table_, other.table_);
        std::swap(key_, other.key_);
        return *this;
    }
    key_ref(const key_ref&) = delete;
    key_ref& operator=(const key_ref&) = delete;
    ~key_ref();

    key_state* get() const noexcept { return key_; }
    key_state* operator->() const noexcept { return key_; }
    key_state& operator*() const noexcept { return *key_; }

private:
    friend class key_table;
    key_ref(std::shared_ptr<key_table> table, key_state& key) noexcept : table_(std::move(table)), key_(&key) {}

    std::shared_ptr<key_table> table_;
    key_state* key_ = nullptr;
};

}  // namespace core
}  // namespace v0
}  // namespace holdfast

#endif
