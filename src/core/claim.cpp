#include <core/claim.hpp>
#include <core/key_state.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

resource::resource(key_ref known_as, primitive_kind what, std::string_view name, int tickets)
    : key(std::move(known_as)), kind(what), max_count(tickets) {
    const std::string_view all = key->mapped();
    if (const auto at = all.find(name); at != std::string_view::npos) {
        name_ = all.substr(at, name.size());
        return;
    }
    own_name_ = std::make_unique<char[]>(name.size());
    name.copy(own_name_.get(), name.size());
    name_ = {own_name_.get(), name.size()};
}

resource::~resource() = default;

const std::string& resource::mapped() const noexcept {
    return key->mapped();
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
