// Files as a backend, on Windows.
#ifndef HOLDFAST_BACKENDS_FILE_WINDOWS_STRATEGY_HPP
#define HOLDFAST_BACKENDS_FILE_WINDOWS_STRATEGY_HPP

#include <core/backend.hpp>
#include <core/windows/wait_hub.hpp>

#include <holdfast/backends/file.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace file {

class windows_backend final : public core::backend {
public:
    explicit windows_backend(const options& opts) : options_(opts) {}

    std::string_view name() const noexcept override { return "file"; }
    const holdfast::capabilities& capabilities() const noexcept override;
    const core::backend_traits& traits() const noexcept override;
    std::string map_name(core::primitive_kind kind, std::string_view name) const override;
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override;
    std::unique_ptr<core::watch> arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                     const core::backend_context& context, core::waiter where) override;
    std::vector<lock_entry> list(const list_query& query) override;
    std::vector<finding> examine(const examination& how) override;

private:
    bool deletes() const noexcept { return options_.exact_paths ? options_.delete_exact_files : !options_.keep_files; }

    const options options_;
    const std::shared_ptr<core::wait_hub> hub_ = std::make_shared<core::wait_hub>();
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
