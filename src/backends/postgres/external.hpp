// Locks of a session that belongs to the user.
#ifndef HOLDFAST_BACKENDS_POSTGRES_EXTERNAL_HPP
#define HOLDFAST_BACKENDS_POSTGRES_EXTERNAL_HPP

#include <core/backend.hpp>

#include <holdfast/backends/postgres.hpp>

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {
namespace postgres {

class external_session;

class external_backend final : public core::backend {
public:
    external_backend(PGconn* connection, const connection_options& opts);

    std::string_view name() const noexcept override { return "postgres"; }
    const holdfast::capabilities& capabilities() const noexcept override { return capabilities_; }
    const core::backend_traits& traits() const noexcept override { return traits_; }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::vector<lock_entry> list(const list_query& query) override;
    std::vector<finding> examine(const examination& how) override;

private:
    const connection_options opts_;
    const std::shared_ptr<external_session> session_;
    holdfast::capabilities capabilities_;
    core::backend_traits traits_;
};

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
