#include <core/key_table.hpp>

#include <memory>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

key_ref::~key_ref() {
    if (key_ != nullptr) table_->leave(*key_);
}

key_ref key_table::use(std::string mapped) {
    const std::lock_guard guard(mutex_);
    if (const auto found = keys_.find(std::string_view(mapped)); found != keys_.end()) {
        ++(*found)->users_;
        return {shared_from_this(), **found};
    }
    auto made = std::make_unique<key_state>(std::move(mapped));
    keys_.insert(made.get());
    return {shared_from_this(), *made.release()};
}

void key_table::leave(key_state& key) noexcept {
    if (forked()) return;
    std::unique_ptr<key_state> last;
    const std::lock_guard guard(mutex_);
    if (--key.users_ > 0) return;
    keys_.erase(&key);
    // Destroyed after the mutex: with its spare link, which may block.
    last.reset(&key);
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
