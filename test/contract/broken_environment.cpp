// Backends that lie, to see that the suite finds them out.
#include <backends/memory/memory_backend.hpp>
#include <contract/environment.hpp>
#include <core/provider_state.hpp>

namespace holdfast::contract {
namespace {

enum class lie {
    none,
    grants_twice,
    never_releases,
    never_tells_of_a_loss,
    never_wakes,
    repeats_its_tokens,
};

class lying_backend;

/// A link of the memory backend, some of whose answers are changed.
class lying_link final : public core::link {
public:
    lying_link(lying_backend& owner, std::unique_ptr<core::link> honest) : owner_(owner), honest_(std::move(honest)) {}

    core::progress start(const core::command& cmd, core::notifier& on_progress) override;
    bool reusable() const noexcept override { return false; }
    bool keeps(const core::claim& who) const noexcept override;
    std::shared_ptr<void> watch_loss(const core::claim& held, std::function<void()> suspicion) override;

private:
    lying_backend& owner_;
    std::unique_ptr<core::link> honest_;
};

class lying_backend final : public core::backend {
public:
    explicit lying_backend(lie what) : what_(what) {}

    std::string_view name() const noexcept override { return "memory"; }
    const holdfast::capabilities& capabilities() const noexcept override { return honest_.capabilities(); }
    const core::backend_traits& traits() const noexcept override { return honest_.traits(); }
    std::string map_name(core::primitive_kind kind, std::string_view name) const override {
        return honest_.map_name(kind, name);
    }
    std::unique_ptr<core::link> make_link(const core::claim& who, const core::backend_context& context) override {
        return std::make_unique<lying_link>(*this, honest_.make_link(who, context));
    }
    std::unique_ptr<core::watch> arm(const core::claim& who, core::link& asking, core::notifier& on_wake,
                                     const core::backend_context& context, core::waiter where) override {
        if (what_ == lie::never_wakes) return std::make_unique<core::watch>();
        return honest_.arm(who, asking, on_wake, context, where);
    }

    lie what() const noexcept { return what_; }
    int lose(std::string_view name) { return honest_.lose(name); }
    /// What ought to have been released stays held as long as this backend lives.
    void keep(std::unique_ptr<core::link> link) {
        const std::lock_guard guard(mutex_);
        kept_.push_back(std::move(link));
    }

private:
    const lie what_;
    core::memory_backend honest_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<core::link>> kept_;
};

core::progress lying_link::start(const core::command& cmd, core::notifier& on_progress) {
    if (owner_.what() == lie::never_releases && cmd.what == core::verb::release) {
        owner_.keep(std::move(honest_));
        set_reply(core::verdict::released);
        return {true, core::never};
    }
    const core::progress made = honest_->start(cmd, on_progress);
    reply_ = honest_->last_reply();
    const bool asked = cmd.what == core::verb::try_acquire;
    if (owner_.what() == lie::grants_twice && asked) reply_.result = core::verdict::granted;
    if (owner_.what() == lie::repeats_its_tokens && asked) reply_.token = 1;
    if (owner_.what() == lie::never_tells_of_a_loss && reply_.result == core::verdict::not_held) {
        reply_.result = core::verdict::released;
    }
    return made;
}

bool lying_link::keeps(const core::claim& who) const noexcept {
    return owner_.what() == lie::never_tells_of_a_loss || honest_->keeps(who);
}

std::shared_ptr<void> lying_link::watch_loss(const core::claim& held, std::function<void()> suspicion) {
    if (owner_.what() == lie::never_tells_of_a_loss) return nullptr;
    return honest_->watch_loss(held, std::move(suspicion));
}

class lying_environment final : public environment {
public:
    explicit lying_environment(lie what) : backend_(std::make_shared<lying_backend>(what)) {}

    provider make_provider(const provider_settings& settings) override {
        return provider(core::provider_state::make(backend_, settings));
    }
    std::optional<int> lose_holds(std::string_view name, std::string_view) override { return backend_->lose(name); }
    contract::limits limits() const override {
        contract::limits made;
        // They fail by waiting in vain.
        made.patience = std::chrono::milliseconds(300);
        made.loss_noticed = std::chrono::milliseconds(300);
        return made;
    }

private:
    std::shared_ptr<lying_backend> backend_;
};

environment_variant variant(std::string name, lie what) {
    return {std::move(name), core::memory_backend().capabilities(),
            [what] { return std::make_unique<lying_environment>(what); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {
        variant("honest", lie::none),
        variant("grants_twice", lie::grants_twice),
        variant("never_releases", lie::never_releases),
        variant("never_tells_of_a_loss", lie::never_tells_of_a_loss),
        variant("never_wakes", lie::never_wakes),
        variant("repeats_its_tokens", lie::repeats_its_tokens),
    };
}

}  // namespace holdfast::contract
