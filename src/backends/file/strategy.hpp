// Files as a backend of the kernel family.
#ifndef HOLDFAST_BACKENDS_FILE_STRATEGY_HPP
#define HOLDFAST_BACKENDS_FILE_STRATEGY_HPP

#include <backends/file/lock_file.hpp>
#include <core/backend.hpp>

#include <memory>

namespace holdfast {
inline namespace v0 {
namespace file {

class file_backend final : public core::backend {
public:
    explicit file_backend(const options& opts) : settings_(std::make_shared<settings>(opts)) {}

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
    const std::shared_ptr<const settings> settings_;
};

}  // namespace file
}  // namespace v0
}  // namespace holdfast

#endif
