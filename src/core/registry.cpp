#include <holdfast/open.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {

void registry::add(std::string scheme, factory make) {
    factories_.insert_or_assign(std::move(scheme), std::move(make));
}

provider registry::open(std::string_view text, const provider_settings& settings) const {
    const url address = url::parse(text);
    const auto found = factories_.find(address.scheme());
    if (found == factories_.end()) {
        std::string known;
        for (const auto& each : factories_) known += (known.empty() ? "" : ", ") + each.first + ":";
        throw error(errc::invalid_options, "no backend serves the scheme '" + address.scheme() +
                                               ":'; this program has " + (known.empty() ? "none" : known));
    }
    return found->second(address, settings);
}

std::vector<std::string> registry::schemes() const {
    std::vector<std::string> names;
    for (const auto& each : factories_) names.push_back(each.first);
    return names;
}

}  // namespace v0
}  // namespace holdfast
