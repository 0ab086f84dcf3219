// Runs operations through every order of events, up to a depth, against a model of the server.
#ifndef HOLDFAST_TEST_UNIT_CORE_OPERATION_EXPLORER_HPP
#define HOLDFAST_TEST_UNIT_CORE_OPERATION_EXPLORER_HPP

#include <support/chooser.hpp>

#include <core/backend.hpp>
#include <core/operation.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::explorer {

/// What a run is about.
struct setup {
    std::string name;
    core::backend_traits traits;
    core::verb ask = core::verb::try_acquire;
    /// Unset: infinite.
    std::optional<std::chrono::milliseconds> limit = {};
    /// Upgrades and releases: the lock is held from the beginning, for sessions by the link.
    bool begins_held = false;
};

core::backend_traits session_traits();
core::backend_traits lease_traits();
core::backend_traits kernel_traits();

/** One run of one operation, and the model that it runs against.

    The model's server may give any answer to any question, but it gives truthful ones to "do I hold it?", and it knows
    what it has granted: so what an operation leaves behind is seen.
*/
class run {
public:
    run(const setup& what, chooser& choose);

    void execute(core::operation& op);

    /// What went wrong, or empty.
    const std::string& violation() const noexcept { return violation_; }
    /// The events and actions, one a line.
    const std::string& trace() const noexcept { return trace_; }

private:
    struct option {
        const char* name;
        std::function<void()> effect;
    };
    enum class known_before { nothing, held };

    void carry_out(const core::action& next);
    void take_turn(const core::action& next);
    void connect(const core::action& next);
    void begin(const core::action& next);
    void await(const core::action& next);
    void offer_time(const core::action& next);
    void offer_answers();
    void offer_grant();
    void offer_doubt();
    void offer_losses();
    void offer(const char* name, std::function<void()> effect) { options_.push_back({name, std::move(effect)}); }
    void choose();

    void answer(core::verdict result, errc code = errc::unavailable);
    void apply(bool counted_from_now = true);
    void drop_link(bool arrives);
    void check_command(const core::action& next);
    void check_end(const core::outcome& how);
    void check_success(const core::outcome& how);
    void check_failure(const core::outcome& how);
    void check_time(const core::outcome& how);
    void fail(const std::string& why);

    bool lease() const noexcept { return what_.traits.family == core::family::lease; }
    bool upgrading() const noexcept { return what_.ask == core::verb::convert; }
    bool releasing() const noexcept { return what_.ask == core::verb::release; }
    bool held_now() const noexcept { return held_ && (!lease() || now_ < lease_until_); }

    const setup& what_;
    chooser& chooser_;
    std::vector<option> options_;
    core::event happened_;
    core::reply reply_;

    boottime::time_point now_{std::chrono::seconds(1000)};
    boottime::time_point began_ = now_;
    /// The latest moment at which this run may end.
    boottime::time_point last_moment_ = core::never;
    bool cancelled_ = false;
    bool link_ = false;
    std::optional<core::command> pending_;
    /// A link was given up before its answer came.
    bool unanswered_ = false;
    boottime::time_point sent_at_{};

    // The server's truth.
    bool held_ = false;
    bool converted_ = false;
    bool mark_ = false;
    boottime::time_point lease_until_ = core::never;

    std::string violation_;
    std::string trace_;
};

struct result {
    std::size_t runs = 0;
    /// The first violation with its trace; empty when there was none.
    std::string violation;
};

/// Runs the operation that @p make makes through everything that can happen in its first @p depth choices.
result explore(const setup& what, std::size_t depth,
               const std::function<std::unique_ptr<core::operation>(const setup&, const core::claim&)>& make);

}  // namespace holdfast::explorer

#endif
