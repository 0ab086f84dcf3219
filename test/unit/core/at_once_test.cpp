// The short way of blocking calls, where a backend answers at once.
#include <core/key_state.hpp>
#include <core/provider_state.hpp>

#include <holdfast/provider.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

using core::access;
using core::taking;
using core::verb;
using core::verdict;
using namespace std::chrono_literals;

/// What links are told to do, and what they were asked.
struct script {
    taking takes = taking::granted;
    /// What the machine is told when it asks.
    verdict answers = verdict::granted;
    verdict gives_back = verdict::released;
    bool throws = false;
    std::function<void()> while_taking = [] {};
    std::vector<std::string> asked = {};
    /// Of the time that the machine has.
    boottime::time_point end{};
    int links = 0;
};

class scripted_link final : public core::link {
public:
    explicit scripted_link(script& how) : how_(how) { ++how_.links; }
    ~scripted_link() override { --how_.links; }

    taking take(const core::claim&, timeout limit, core::parker* self) override {
        how_.asked.push_back(limit.is_infinite() ? "take for ever"
                                                 : "take for " + std::to_string(limit.duration().count()));
        if (self != nullptr) how_.asked.back() += ", until roused";
        how_.while_taking();
        if (how_.throws) throw std::bad_alloc();
        return how_.takes;
    }
    core::progress start(const core::command& cmd, core::notifier&) override {
        how_.asked.emplace_back(cmd.what == verb::release ? "give back" : "try");
        how_.end = cmd.reconnect_until;
        if (how_.throws) throw std::bad_alloc();
        set_reply(cmd.what == verb::release ? how_.gives_back : how_.answers).code = errc::unavailable;
        return {true, core::never};
    }

private:
    script& how_;
};

class scripted_backend final : public core::backend {
public:
    explicit scripted_backend(script& how) : how_(how) {}

    std::string_view name() const noexcept override { return "scripted"; }
    const holdfast::capabilities& capabilities() const noexcept override {
        static const holdfast::capabilities mine{.lock = true, .reader_writer_lock = true, .semaphore = true};
        return mine;
    }
    const core::backend_traits& traits() const noexcept override {
        static const core::backend_traits mine{.answers_at_once = true};
        return mine;
    }
    std::string map_name(core::primitive_kind, std::string_view name) const override { return std::string(name); }
    std::unique_ptr<core::link> make_link(const core::claim&, const core::backend_context&) override {
        return std::make_unique<scripted_link>(how_);
    }

private:
    script& how_;
};

class at_once : public testing::Test {
protected:
    provider open(const provider_settings& settings = {}) {
        return provider(core::provider_state::make(std::make_shared<scripted_backend>(how_), settings));
    }
    using asked = std::vector<std::string>;

    script how_;
    const lock lock_ = open().make_lock("name");
};

/// What several may have, and who else of this process wants it.
class at_once_shared : public at_once {
protected:
    /// One more that comes while others are at it, without a thread.
    class newcomer final : private core::notifier {
    public:
        newcomer(core::key_state& queue, access mode, bool only_try) : queue_(queue) {
            place_.mode = mode;
            place_.only_try = only_try;
            how_ = queue_.enter(place_, *this);
        }
        newcomer(const newcomer&) = delete;
        newcomer& operator=(const newcomer&) = delete;
        ~newcomer() { queue_.leave(place_); }

        core::key_state::admission how() const noexcept { return how_; }
        bool has_turn() const noexcept { return place_.has_turn; }

    private:
        void notify(unsigned) noexcept override {}

        core::key_state& queue_;
        core::ticket place_;
        core::key_state::admission how_ = core::key_state::admission::refused;
    };
    using admission = core::key_state::admission;

    /// How a try fares that comes while somebody is asking, for each time that the backend is asked.
    std::vector<admission> tries_meanwhile(const core::resource& target, access mode) {
        auto seen = std::make_shared<std::vector<admission>>();
        how_.while_taking = [seen, &target, mode] { seen->push_back(newcomer(*target.key, mode, true).how()); };
        error_code code;
        if (target.kind == core::primitive_kind::semaphore) {
            (void)provider_.make_semaphore("name", target.max_count).acquire(20s, {}, code);
        } else if (mode == access::shared) {
            (void)provider_.make_reader_writer_lock("name").acquire_read(20s, {}, code);
        } else {
            (void)provider_.make_reader_writer_lock("name").acquire_write(20s, {}, code);
        }
        how_.while_taking = [] {};
        return *seen;
    }
    std::shared_ptr<const core::resource> make(core::primitive_kind kind, int tickets = 1) {
        return state_->make_resource(kind, "name", tickets);
    }

    const std::shared_ptr<core::provider_state> state_ =
        core::provider_state::make(std::make_shared<scripted_backend>(how_), {});
    const provider provider_{state_};
};

TEST_F(at_once, what_is_granted_and_given_back_is_asked_for_once) {
    lock_.acquire().release();
    EXPECT_EQ(how_.asked, (asked{"take for ever", "give back"}));
    EXPECT_EQ(how_.links, 1) << "kept for the next";
}

TEST_F(at_once, a_try_is_refused_without_a_second_question) {
    how_.takes = taking::refused;
    EXPECT_FALSE(lock_.try_acquire());
    EXPECT_EQ(how_.asked, (asked{"take for 0"}));
}

TEST_F(at_once, who_stood_for_the_whole_time_has_timed_out) {
    how_.takes = taking::refused;
    error_code code;
    EXPECT_EQ(lock_.acquire(20s, {}, code).state(), held_state::released);
    EXPECT_EQ(code, errc::timed_out);
    EXPECT_EQ(how_.asked, (asked{"take for 20000"}));
}

TEST_F(at_once, who_can_be_cancelled_stands_where_that_can_be_ended) {
    std::stop_source stop;
    lock_.acquire(20s, stop.get_token()).release();
    EXPECT_EQ(how_.asked, (asked{"take for 0", "give back"})) << "what is free needs no readiness";
    how_.asked.clear();
    how_.takes = taking::refused;
    error_code code;
    (void)lock_.acquire(20s, stop.get_token(), code);
    EXPECT_EQ(code, errc::timed_out);
    EXPECT_EQ(how_.asked, (asked{"take for 0", "take for 20000, until roused"}));
    how_.while_taking = [&] {
        if (how_.asked.back() != "take for 0") stop.request_stop();
    };
    (void)lock_.acquire(timeout::infinite(), stop.get_token(), code);
    EXPECT_EQ(code, errc::cancelled);
    EXPECT_EQ(how_.asked.back(), "take for ever, until roused");
}

TEST_F(at_once, what_it_cannot_do_is_asked_again_over_the_same_link) {
    how_.takes = taking::beyond;
    auto held = lock_.acquire();
    EXPECT_EQ(how_.asked, (asked{"take for ever", "try"}));
    EXPECT_EQ(how_.links, 1);
    held.release();
}

TEST_F(at_once, the_time_that_is_used_up_is_not_had_again) {
    how_.takes = taking::beyond;
    how_.answers = verdict::refused;
    how_.while_taking = [] {
        const auto until = boottime::now() + 40ms;
        while (boottime::now() < until) {
        }
    };
    const auto began = boottime::now();
    error_code code;
    (void)lock_.acquire(41ms, {}, code);
    EXPECT_EQ(code, errc::timed_out);
    EXPECT_LT(how_.end - began, 80ms) << "of the machine's time";
}

TEST_F(at_once, an_error_is_told_by_the_machine) {
    how_.takes = taking::beyond;
    how_.answers = verdict::failed;
    error_code code;
    (void)lock_.acquire(1s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
    how_.throws = true;
    (void)lock_.acquire(1s, {}, code);
    EXPECT_EQ(code, errc::unavailable);
}

TEST_F(at_once, nobody_in_the_process_overtakes_who_stands_or_is_overtaken_by_it) {
    int tries = 0;
    how_.while_taking = [&] {
        // Once, by another one of this process: it stands in line behind us, and a try does not stand in line.
        if (++tries > 1) return;
        const auto before = how_.asked.size();
        EXPECT_FALSE(lock_.try_acquire());
        EXPECT_EQ(how_.asked.size(), before) << "it must not even ask";
    };
    lock_.acquire().release();
    EXPECT_EQ(tries, 1);
    // And afterwards the place is free again.
    EXPECT_TRUE(lock_.try_acquire());
}

TEST_F(at_once, the_machine_has_the_place_of_who_tried) {
    // Else whoever came meanwhile would be first, and the machine would wait behind it.
    const auto state = core::provider_state::make(std::make_shared<scripted_backend>(how_), {});
    const auto target = state->make_resource(core::primitive_kind::lock, "name", 1);
    struct listener final : core::notifier {
        void notify(unsigned bits) noexcept override { told |= bits; }
        unsigned told = 0;
    } next;
    core::ticket place;
    how_.takes = taking::beyond;
    how_.while_taking = [&] { EXPECT_EQ(target->key->enter(place, next), core::key_state::admission::queued); };
    error_code code;
    const auto held = provider(state).make_lock("name").acquire(1s, {}, code);
    EXPECT_FALSE(code) << code.message();
    EXPECT_EQ(how_.asked, (asked{"take for 1000", "try"}));
    EXPECT_EQ(next.told, core::signal_turn) << "once the one before it has its answer";
    target->key->leave(place);
}

TEST_F(at_once, the_place_is_given_up_whatever_becomes_of_the_machine) {
    how_.takes = taking::beyond;
    for (const bool throws : {false, true}) {
        for (const verdict answer : {verdict::failed, verdict::refused}) {
            how_.answers = answer;
            how_.throws = throws;
            error_code code;
            EXPECT_FALSE(lock_.acquire(1ms, {}, code));
            EXPECT_TRUE(code);
            how_.throws = false;
            how_.asked.clear();
            how_.answers = verdict::granted;
            EXPECT_TRUE(lock_.try_acquire());
            EXPECT_EQ(how_.asked, (asked{"take for 0", "try", "give back"})) << "it is asked for at once";
        }
    }
}

TEST_F(at_once_shared, a_try_of_a_ticket_is_not_refused_before_somebody_stands) {
    const auto tickets = make(core::primitive_kind::semaphore, 3);
    EXPECT_EQ(tries_meanwhile(*tickets, access::ticket), (std::vector{admission::queued}));
    EXPECT_EQ(how_.asked.front(), "take for 0");
    how_.asked.clear();
    how_.takes = taking::refused;
    EXPECT_EQ(tries_meanwhile(*tickets, access::ticket), (std::vector{admission::queued, admission::refused}));
    EXPECT_EQ(how_.asked, (asked{"take for 0", "take for 20000"}));
}

TEST_F(at_once_shared, a_try_to_read_is_not_refused_before_a_reader_stands) {
    const auto table = make(core::primitive_kind::reader_writer_lock);
    EXPECT_EQ(tries_meanwhile(*table, access::shared), (std::vector{admission::turn}));
    EXPECT_EQ(how_.asked.front(), "take for 0");
    how_.asked.clear();
    how_.takes = taking::refused;
    EXPECT_EQ(tries_meanwhile(*table, access::shared), (std::vector{admission::turn, admission::refused}));
    EXPECT_EQ(how_.asked, (asked{"take for 0", "take for 20000"}));
}

TEST_F(at_once_shared, a_try_beside_one_who_has_it_alone_is_refused_at_once) {
    for (const auto kind : {core::primitive_kind::semaphore, core::primitive_kind::reader_writer_lock}) {
        how_.asked.clear();
        const auto target = make(kind);
        EXPECT_EQ(tries_meanwhile(*target, access::exclusive), (std::vector{admission::refused}));
        EXPECT_EQ(how_.asked.front(), "take for 20000") << "and stands in one go";
    }
}

TEST_F(at_once_shared, who_has_been_refused_and_can_be_cancelled_stands_before_the_others) {
    how_.takes = taking::refused;
    const auto tickets = make(core::primitive_kind::semaphore, 3);
    std::vector<admission> seen;
    how_.while_taking = [&] { seen.push_back(newcomer(*tickets->key, access::ticket, true).how()); };
    std::stop_source stop;
    error_code code;
    (void)provider_.make_semaphore("name", 3).acquire(20s, stop.get_token(), code);
    EXPECT_EQ(seen, (std::vector{admission::queued, admission::refused}));
    EXPECT_EQ(how_.asked, (asked{"take for 0", "take for 20000, until roused"}));
}

TEST_F(at_once_shared, whoever_queued_behind_a_ticket_has_the_turn_once_it_is_had) {
    const auto tickets = make(core::primitive_kind::semaphore, 3);
    std::unique_ptr<newcomer> behind;
    how_.while_taking = [&] { behind = std::make_unique<newcomer>(*tickets->key, access::ticket, true); };
    const auto held = provider_.make_semaphore("name", 3).acquire();
    ASSERT_NE(behind, nullptr);
    EXPECT_TRUE(behind->has_turn());
}

TEST_F(at_once, a_release_that_finds_nothing_says_lost) {
    auto held = lock_.acquire();
    how_.gives_back = verdict::not_held;
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(how_.links, 1) << "it holds nothing, and may be used again";
}

TEST_F(at_once, a_link_that_may_still_hold_is_not_used_again) {
    auto held = lock_.acquire();
    how_.gives_back = verdict::failed;
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::unavailable);
    EXPECT_EQ(how_.links, 0) << "its end gives the lock back";

    held = lock_.acquire();
    how_.throws = true;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(how_.links, 0);
}

TEST_F(at_once, an_observer_is_told_as_ever) {
    struct : observer {
        void acquired(std::string_view, std::chrono::nanoseconds) noexcept override { ++grants; }
        void released(std::string_view, error_code code) noexcept override { releases += code ? 0 : 1; }
        int grants = 0;
        int releases = 0;
    } watcher;
    provider_settings settings;
    settings.observer = {&watcher, [](observer*) {}};
    open(settings).make_lock("name").acquire().release();
    EXPECT_EQ(watcher.grants, 1);
    EXPECT_EQ(watcher.releases, 1);
    EXPECT_EQ(how_.asked, (asked{"try", "give back"})) << "waits could not be told of otherwise";
}

}  // namespace
}  // namespace holdfast
