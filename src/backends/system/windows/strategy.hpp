// Named events and semaphores as a backend: the locks that .NET's WaitHandles have.
#ifndef HOLDFAST_BACKENDS_SYSTEM_WINDOWS_STRATEGY_HPP
#define HOLDFAST_BACKENDS_SYSTEM_WINDOWS_STRATEGY_HPP

#include <core/backend.hpp>
#include <core/windows/wait_hub.hpp>

#include <holdfast/backends/system.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace system {

class windows_backend final : public core::backend {
public:
    explicit windows_backend(const options& opts) : options_(opts) {}

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
    const options options_;
    const std::shared_ptr<core::wait_hub> hub_ = std::make_shared<core::wait_hub>();
};

/// The object's name with each unit that .NET gives it, for the lock @p name whose mapped name is @p mapped.
std::wstring object_name(std::string_view name, std::string_view mapped);

}  // namespace system
}  // namespace v0
}  // namespace holdfast

#endif
