// What the core asks of PostgreSQL: keys, and connections that speak its protocol.
#ifndef HOLDFAST_BACKENDS_POSTGRES_BACKEND_HPP
#define HOLDFAST_BACKENDS_POSTGRES_BACKEND_HPP

#include <core/backend.hpp>
#include <session/multiplexer.hpp>

#include <holdfast/backends/postgres.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// The one text for the key that @p name becomes.
std::string mapped_key(std::string_view name, bool strict);

class postgres_backend final : public core::backend {
public:
    explicit postgres_backend(const options& opts);

    std::string_view name() const noexcept override { return "postgres"; }
    const holdfast::capabilities& capabilities() const noexcept override { return capabilities_; }
    const core::backend_traits& traits() const noexcept override { return traits_; }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::vector<lock_entry> list(const list_query& query) override;
    std::vector<finding> examine(const examination& how) override;

    /// How many connections there are, and what they do.
    core::multiplexer::counts count() const { return connections_->count(); }

private:
    const options opts_;
    holdfast::capabilities capabilities_;
    core::backend_traits traits_;
    const std::shared_ptr<core::multiplexer> connections_;
};

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
