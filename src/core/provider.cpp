#include <core/provider_state.hpp>

#include <holdfast/provider.hpp>

#include <string>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace {

/// What a child has inherited may be locked by a thread that is not there.
void refuse_forked(const core::provider_state& state) {
    if (state.forked()) throw error(errc::invalid_state, core::provider_state::forked_text);
}

detail::primitive_ref make(const std::shared_ptr<core::provider_state>& state, core::primitive_kind kind,
                           bool supported, const char* what, std::string_view name, int max_count = 1) {
    refuse_forked(*state);
    if (!supported) {
        throw error(errc::unsupported,
                    std::string("the ") + std::string(state->backend().name()) + " backend has no " + what);
    }
    return detail::primitive_ref(state, state->make_resource(kind, name, max_count));
}

}  // namespace

observer::~observer() = default;
void observer::waiting(std::string_view) noexcept {}
void observer::acquired(std::string_view, std::chrono::nanoseconds) noexcept {}
void observer::not_acquired(std::string_view, error_code, std::chrono::nanoseconds) noexcept {}
void observer::renewed(std::string_view) noexcept {}
void observer::lost(std::string_view) noexcept {}
void observer::released(std::string_view, error_code) noexcept {}
void observer::notice(std::string_view, std::string_view) noexcept {}

provider::provider(std::shared_ptr<core::provider_state> state) noexcept : state_(std::move(state)) {}

lock provider::make_lock(std::string_view name) const {
    return lock(make(state_, core::primitive_kind::lock, capabilities().lock, "locks", name));
}

reader_writer_lock provider::make_reader_writer_lock(std::string_view name) const {
    return reader_writer_lock(make(state_, core::primitive_kind::reader_writer_lock, capabilities().reader_writer_lock,
                                   "reader-writer locks", name));
}

upgradeable_reader_writer_lock provider::make_upgradeable_reader_writer_lock(std::string_view name) const {
    return upgradeable_reader_writer_lock(make(state_, core::primitive_kind::upgradeable_reader_writer_lock,
                                               capabilities().upgradeable_reader_writer_lock,
                                               "upgradeable reader-writer locks", name));
}

semaphore provider::make_semaphore(std::string_view name, int max_count) const {
    if (max_count < 1) throw error(errc::invalid_argument, "a semaphore has at least 1 ticket");
    return semaphore(
        make(state_, core::primitive_kind::semaphore, capabilities().semaphore, "semaphores", name, max_count));
}

std::vector<lock_entry> provider::list(const list_query& query) const {
    if (query.timeout.count() <= 0) throw error(errc::invalid_argument, "list needs a timeout above zero");
    refuse_forked(*state_);
    return state_->backend().list(query);
}

std::vector<finding> provider::examine(const examination& how) const {
    if (how.timeout.count() <= 0) throw error(errc::invalid_argument, "examine needs a timeout above zero");
    refuse_forked(*state_);
    return state_->backend().examine(how);
}

const capabilities& provider::capabilities() const noexcept {
    return state_->backend().capabilities();
}

std::string_view provider::backend_name() const noexcept {
    return state_->backend().name();
}

}  // namespace v0
}  // namespace holdfast
