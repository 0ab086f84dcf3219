#include <backends/memory/memory_backend.hpp>
#include <core/provider_state.hpp>
#include <names/text.hpp>

#include <holdfast/memory.hpp>

#include <algorithm>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

/// One asker, and after a grant one holder.
class memory_link final : public link {
public:
    explicit memory_link(memory_backend& table) noexcept : table_(table) {}

    ~memory_link() override {
        if (abandoned_) return;
        const std::lock_guard guard(table_.mutex_);
        leave();
    }

    progress start(const command& cmd, notifier&) override {
        const std::lock_guard guard(table_.mutex_);
        if (table_.failures_left_ > 0) {
            --table_.failures_left_;
            set_failure(table_.failure_, 0, "failed on request");
        } else {
            carry_out(cmd);
        }
        if (table_.delay_ <= std::chrono::milliseconds::zero()) return {true, never};
        due_ = boottime::now() + table_.delay_;
        return {false, due_};
    }

    progress advance() override { return {boottime::now() >= due_, due_}; }

    bool reusable() const noexcept override { return false; }

    bool keeps(const claim&) const noexcept override {
        const std::lock_guard guard(table_.mutex_);
        return !lost_;
    }

    std::shared_ptr<void> watch_loss(const claim&, std::function<void()> suspicion) override {
        const std::lock_guard guard(table_.mutex_);
        suspicion_ = std::move(suspicion);
        // Owns nothing; its end is what counts.
        return {this, [](memory_link* self) {
                    const std::lock_guard inner(self->table_.mutex_);
                    self->suspicion_ = nullptr;
                }};
    }

    /// The table and its mutex are the parent's.
    void abandon() noexcept override { abandoned_ = true; }

    access mode() const noexcept { return mode_; }

    /// The mutex is held.
    void lose() {
        lost_ = true;
        leave();
        if (suspicion_) suspicion_();
    }

private:
    void carry_out(const command& cmd) {
        mapped_ = cmd.who->target->mapped();
        switch (cmd.what) {
            case verb::try_acquire: try_acquire(*cmd.who); return;
            case verb::convert: convert(cmd); return;
            case verb::revert:
                mode_ = access::upgradeable;
                set_reply(verdict::released);
                return;
            case verb::release:
                set_reply(holding_ ? verdict::released : verdict::not_held);
                leave();
                return;
            case verb::probe: set_reply(holding_ ? verdict::granted : verdict::not_held); return;
            case verb::withdraw:
                if (auto& held = table_.entry_of(*cmd.who); held.converting == this) {
                    held.converting = nullptr;
                    memory_backend::wake(held);
                }
                set_reply(verdict::released);
                return;
            case verb::count: {
                const auto& held = table_.entry_of(*cmd.who);
                const int taken = static_cast<int>(held.holders.size());
                const int most = cmd.who->target->max_count;
                table_.sweep(mapped_);
                set_reply(verdict::granted).count = std::max(0, most - taken);
                return;
            }
            case verb::wait:
            case verb::renew: break;
        }
        set_failure(errc::unsupported, 0, "the memory backend has no such request");
    }

    void try_acquire(const claim& who) {
        auto& held = table_.entry_of(who);
        if (!compatible(held, who)) {
            set_reply(verdict::refused);
            return;
        }
        held.holders.push_back(this);
        holding_ = true;
        mode_ = who.mode;
        set_reply(verdict::granted).token = ++table_.last_token_;
    }

    static bool compatible(const memory_backend::entry& held, const claim& who) {
        if (who.mode == access::ticket) return static_cast<int>(held.holders.size()) < who.target->max_count;
        if (who.mode == access::exclusive) return held.holders.empty();
        if (held.converting != nullptr) return false;
        return std::none_of(held.holders.begin(), held.holders.end(), [&who](const memory_link* each) {
            return each->mode_ == access::exclusive ||
                   (each->mode_ == access::upgradeable && who.mode != access::shared);
        });
    }

    void convert(const command& cmd) {
        auto& held = table_.entry_of(*cmd.who);
        if (!holding_) {
            set_failure(errc::lost, 0, "the upgradeable read lock was lost");
        } else if (held.holders.size() == 1) {
            held.converting = nullptr;
            mode_ = access::exclusive;
            set_reply(verdict::granted);
        } else {
            if (cmd.staying) held.converting = this;
            set_reply(verdict::refused);
        }
    }

    /// The mutex is held.
    void leave() {
        if (!std::exchange(holding_, false)) return;
        auto& held = table_.entries_[mapped_];
        std::erase(held.holders, this);
        if (held.converting == this) held.converting = nullptr;
        memory_backend::wake(held);
        table_.sweep(mapped_);
    }

    memory_backend& table_;
    std::string mapped_;
    access mode_ = access::exclusive;
    bool holding_ = false;
    bool lost_ = false;
    bool abandoned_ = false;
    boottime::time_point due_{};
    std::function<void()> suspicion_;
};

/// Somebody who was refused.
class memory_watch final : public watch {
public:
    memory_watch(memory_backend& table, const claim& who, notifier& on_wake)
        : table_(table), mapped_(who.target->mapped()), on_wake_(on_wake) {
        const std::lock_guard guard(table_.mutex_);
        table_.entries_[mapped_].watches.push_back(this);
    }

    ~memory_watch() override {
        const std::lock_guard guard(table_.mutex_);
        std::erase(table_.entries_[mapped_].watches, this);
        table_.sweep(mapped_);
    }

    void wake() noexcept { on_wake_.notify(signal_wake); }

private:
    memory_backend& table_;
    const std::string mapped_;
    notifier& on_wake_;
};

const capabilities& memory_backend::capabilities() const noexcept {
    static const holdfast::capabilities all{
        .lock = true,
        .reader_writer_lock = true,
        .upgradeable_reader_writer_lock = true,
        .semaphore = true,
        .current_count = true,
        .cross_process = false,
        .loss_detection = loss_detection::connection,
        .fencing = fencing_support::monotonic,
    };
    return all;
}

const backend_traits& memory_backend::traits() const noexcept {
    static const backend_traits mine = [] {
        backend_traits made;
        made.family = family::kernel;
        made.announces = true;
        return made;
    }();
    return mine;
}

std::string memory_backend::map_name(primitive_kind kind, std::string_view name) const {
    names::require_utf8(name);
    return std::string(kind == primitive_kind::semaphore ? "semaphore:" : "lock:").append(name);
}

std::unique_ptr<link> memory_backend::make_link(const claim&, const backend_context&) {
    return std::make_unique<memory_link>(*this);
}

std::unique_ptr<watch> memory_backend::arm(const claim& who, link&, notifier& on_wake, const backend_context&, waiter) {
    return std::make_unique<memory_watch>(*this, who, on_wake);
}

int memory_backend::lose(std::string_view name) {
    const std::lock_guard guard(mutex_);
    int count = 0;
    for (const auto kind : {primitive_kind::lock, primitive_kind::semaphore}) {
        const auto found = entries_.find(map_name(kind, name));
        if (found == entries_.end()) continue;
        const auto holders = found->second.holders;
        for (memory_link* each : holders) each->lose();
        count += static_cast<int>(holders.size());
    }
    return count;
}

void memory_backend::set_delay(std::chrono::milliseconds delay) {
    if (delay < std::chrono::milliseconds::zero()) throw error(errc::invalid_argument, "a delay cannot be negative");
    const std::lock_guard guard(mutex_);
    delay_ = delay;
}

void memory_backend::fail_next(errc code, int count) {
    const std::lock_guard guard(mutex_);
    failure_ = code;
    failures_left_ = count;
}

void memory_backend::sweep(const std::string& mapped) {
    const auto found = entries_.find(mapped);
    if (found != entries_.end() && found->second.holders.empty() && found->second.watches.empty()) {
        entries_.erase(found);
    }
}

void memory_backend::wake(entry& which) {
    for (memory_watch* each : which.watches) each->wake();
}

}  // namespace core

memory_provider::memory_provider(const provider_settings& settings)
    : backend_(std::make_shared<core::memory_backend>()), provider_(core::provider_state::make(backend_, settings)) {}

int memory_provider::lose(std::string_view name) {
    return backend_->lose(name);
}

void memory_provider::set_delay(std::chrono::milliseconds delay) {
    backend_->set_delay(delay);
}

void memory_provider::fail_next(errc code, int count) {
    backend_->fail_next(code, count);
}

void add_memory_to(registry& target) {
    target.add("memory", [](const url& address, const provider_settings& settings) {
        option_reader(address).finish();
        if (address.has_authority() || !address.path().empty()) {
            throw error(errc::invalid_options, "URL: memory: takes neither host nor path");
        }
        // One table for the process, as the URL has nothing that could tell two apart.
        static auto* const shared = new std::shared_ptr(std::make_shared<core::memory_backend>());
        return provider(core::provider_state::make(*shared, settings));
    });
}

}  // namespace v0
}  // namespace holdfast
