// The kernel's semaphores as a backend.
#ifndef HOLDFAST_BACKENDS_SYSTEM_STRATEGY_HPP
#define HOLDFAST_BACKENDS_SYSTEM_STRATEGY_HPP

#include <backends/system/set_directory.hpp>
#include <core/backend.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace system {

class system_backend final : public core::backend {
public:
    explicit system_backend(const options& opts)
        : scope_(opts.scope), directory_(std::make_shared<set_directory>(opts)) {}

    std::string_view name() const noexcept override { return "system"; }
    const holdfast::capabilities& capabilities() const noexcept override;
    const core::backend_traits& traits() const noexcept override;
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::unique_ptr<core::watch> arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                     const core::backend_context& context, core::waiter where) override;
    std::vector<lock_entry> list(const list_query& query) override;
    std::vector<finding> examine(const examination& how) override;

private:
    const system::scope scope_;
    const std::shared_ptr<set_directory> directory_;
};

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
