#include <core/hot.hpp>
#include <core/provider_state.hpp>

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

std::shared_ptr<provider_state> provider_state::make(std::shared_ptr<core::backend> backend,
                                                     const provider_settings& settings) {
    constexpr std::chrono::milliseconds longest = std::chrono::hours(24);
    if (settings.release_timeout.count() <= 0 || settings.release_timeout > longest) {
        throw error(errc::invalid_options, "release_timeout must be more than zero and at most a day");
    }
    return std::make_shared<provider_state>(std::move(backend), settings);
}

provider_state::provider_state(std::shared_ptr<core::backend> backend, const provider_settings& settings)
    : backend_(std::move(backend)), traits_(backend_->traits()), settings_(settings), alarms_(*this), renewals_(*this) {
    context_.executor = [this] { return executor(); };
    context_.observer = settings_.observer;
}

boost::asio::any_io_executor provider_state::executor() {
    if (settings_.executor) return *settings_.executor;
    const std::lock_guard guard(mutex_);
    if (runtime_ == nullptr) runtime_ = runtime::shared();
    return runtime_->executor();
}

boost::asio::any_io_executor provider_state::work() const {
    if (!settings_.executor) return {};
    return boost::asio::prefer(*settings_.executor, boost::asio::execution::outstanding_work_t::tracked);
}

std::shared_ptr<const resource> provider_state::make_resource(primitive_kind kind, std::string_view name,
                                                              int max_count) {
    return std::make_shared<const resource>(keys_->use(backend_->map_name(kind, name)), kind, name, max_count);
}

HOLDFAST_HOT std::unique_ptr<link> provider_state::take_link(const claim& who, bool fresh, waiter where) {
    if (where == waiter::executor) {
        if (auto idle = shared_links_.take()) return idle;
        if (auto shared = backend_->make_shared_link(who, context_)) return shared;
    }
    if (!fresh) {
        auto idle = traits().family == family::kernel ? who.target->key->take_spare() : links_.take();
        if (idle != nullptr) return idle;
    }
    return backend_->make_link(who, context_);
}

HOLDFAST_HOT void provider_state::put_link(const claim& who, std::unique_ptr<link> returned) noexcept {
    if (returned == nullptr) return;
    if (forked()) {
        returned->abandon();
        return;
    }
    if (traits().family != family::kernel) {
        try {
            link_pool& idle = returned->is_shared() ? shared_links_ : links_;
            idle.put(std::move(returned));
        } catch (...) {
            // Closed, then, which is as good.
        }
    } else if (returned->reusable()) {
        who.target->key->put_spare(std::move(returned));
    }
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
