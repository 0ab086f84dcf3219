// What is published, and what is made of what somebody else, another boot or another namespace has published.
#include "published.hpp"

#include <support/notices.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/file.h>

#include <atomic>
#include <climits>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <thread>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

errc code_of(const std::function<void()>& action, std::string* text = nullptr) {
    try {
        action();
    } catch (const error& failed) {
        if (text != nullptr) *text = failed.what();
        return static_cast<errc>(failed.boost_code().value());
    }
    return errc{};
}

void take(const provider& locks) {
    ASSERT_TRUE(locks.make_lock("x").try_acquire().has_value());
}

TEST(SystemUrl, TakesScopeAndDirectoryOnly) {
    registry known;
    system::add_to(known);
    EXPECT_EQ(known.open("system:").backend_name(), "system");
    EXPECT_EQ(known.open("system:?scope=machine").backend_name(), "system");
    EXPECT_EQ(known.open("system:?scope=user&directory=/dev/shm/x").backend_name(), "system");
    for (const char* wrong : {"system://host", "system:/path", "system:?scope=group", "system:?directory=relative",
                              "system:?directory=", "system:?scope=", "system:?other=1"}) {
        EXPECT_EQ(code_of([&] { known.open(wrong); }), errc::invalid_options) << wrong;
    }
}

TEST(SystemSets, AreRemovedByTheLastWhoUsesThem) {
    const published_sets place;
    {
        const provider first = place.open();
        const provider second = place.open();
        auto held = first.make_lock("x").try_acquire();
        ASSERT_TRUE(held);
        EXPECT_FALSE(second.make_lock("x").try_acquire());
        EXPECT_TRUE(second.make_reader_writer_lock("x").try_acquire_write());
        EXPECT_TRUE(second.make_semaphore("x", 1).try_acquire());
    }
    EXPECT_TRUE(std::filesystem::is_empty(place.directory()));
    EXPECT_EQ(place.leftovers(), 0);
}

TEST(SystemSets, OfUsersWhoLeftEarlierStayForTheOthers) {
    const published_sets place;
    const provider staying = place.open();
    auto held = staying.make_lock("x").try_acquire();
    ASSERT_TRUE(held);
    EXPECT_TRUE(place.open().make_lock("y").try_acquire());
    EXPECT_FALSE(place.open().make_lock("x").try_acquire());
}

TEST(SystemSets, ServeManyNamesAndGrow) {
    const published_sets place;
    {
        const provider locks = place.open();
        const provider others = place.open();
        std::vector<lock_handle> held;
        // More than one set has room for.
        for (int at = 0; at < 500; ++at) held.push_back(locks.make_lock(std::to_string(at)).acquire(0s));
        for (int at = 0; at < 500; ++at) {
            EXPECT_FALSE(others.make_lock(std::to_string(at)).try_acquire().has_value()) << at;
        }
        const auto names = system::set_directory(place.opts()).names();
        EXPECT_EQ(names.size(), 500U);
        std::set<int> sets;
        for (const auto& each : names) sets.insert(each.semaphores);
        EXPECT_GE(sets.size(), 2U);
        EXPECT_LE(sets.size(), 4U);
        held.clear();
        EXPECT_TRUE(others.make_lock("7").try_acquire());
    }
    EXPECT_EQ(place.leftovers(), 0);
}

TEST(SystemSets, AreFoundBehindOneThatWasDeleted) {
    const published_sets place;
    const provider locks = place.open();
    std::vector<lock_handle> held;
    for (int at = 0; at < 1000; ++at) held.push_back(locks.make_lock(std::to_string(at)).acquire(0s));
    ASSERT_TRUE(std::filesystem::exists(place.file("tickets-2")));
    const auto names = system::set_directory(place.opts()).names();
    const int last = place.id("tickets-2");
    std::filesystem::remove(place.file("tickets-1"));
    const provider others = place.open();
    for (const auto& each : names) {
        if (each.semaphores != last) continue;
        EXPECT_FALSE(others.make_lock(each.mapped.substr(5)).try_acquire()) << each.mapped;
    }
}

TEST(SystemSets, GiveTheSlotsOfForgottenNamesToNewOnes) {
    const published_sets place;
    const provider locks = place.open();
    for (int at = 0; at < 2000; ++at) {
        // Of changing kinds, so that a slot's value has to be brought to what the next name needs.
        auto held = at % 2 == 0 ? locks.make_lock(std::to_string(at)).acquire(0s)
                                : locks.make_semaphore(std::to_string(at), 1 + at).acquire(0s);
    }
    EXPECT_FALSE(std::filesystem::exists(place.file("tickets-1")));
    const semaphore last = locks.make_semaphore("last", 5);
    EXPECT_EQ(last.current_count(), 5);
}

TEST(SystemSets, OfAnotherBootAreNotTouched) {
    const published_sets place;
    take(place.open());
    // Somebody else's by now, for the number may be given again after a boot.
    const int foreign = ::semget(IPC_PRIVATE, 3, 0600);
    ASSERT_GE(foreign, 0);
    for (const char* boot : {"00000000-0000-0000-0000-000000000000", ""}) {
        {
            const provider locks = place.open();
            auto held = locks.make_lock("x").acquire();
        }
        // What the last one removed is there again, older.
        std::ofstream(place.file()) << std::string(4096 + 64 * 128, '\0');
        file_head head{};
        std::memcpy(head.magic, "HFSETS\r\n", 8);
        head.version = 1;
        head.state = 2;
        head.id = foreign;
        std::string_view(boot).copy(head.boot, sizeof head.boot);
        place.write_head(head);
        const provider locks = place.open();
        take(locks);
        EXPECT_NE(place.id(), foreign);
    }
    EXPECT_GE(::semctl(foreign, 0, GETVAL), 0);
    ::semctl(foreign, 0, IPC_RMID);
}

TEST(SystemSets, OfAnotherProgramAreNotTakenForOurs) {
    const published_sets place;
    const system::layout shape = system::layout::of(system::set_kind::tickets, 0);
    const int foreign = ::semget(IPC_PRIVATE, shape.size(), 0600);
    ASSERT_GE(foreign, 0);
    const provider first = place.open();
    take(first);
    file_head head = place.head();
    const int ours = head.id;
    head.id = foreign;
    place.write_head(head);
    const provider second = place.open();
    take(second);
    EXPECT_NE(place.id(), foreign);
    EXPECT_GE(::semctl(foreign, 0, GETVAL), 0);
    ::semctl(foreign, 0, IPC_RMID);
    // The first one's set is none that a file names any more, and it must not go on as if it excluded anybody.
    EXPECT_LT(::semctl(ours, 0, GETVAL), 0);
    auto held = first.make_lock("x").try_acquire();
    ASSERT_TRUE(held);
    EXPECT_FALSE(second.make_lock("x").try_acquire());
}

struct damage {
    const char* name;
    void (*inflict)(const published_sets& place);
};
std::ostream& operator<<(std::ostream& out, const damage& one) {
    return out << one.name;
}

class DamagedFile : public testing::TestWithParam<damage> {};

TEST_P(DamagedFile, IsMadeAnewWhereNobodyUsesIt) {
    const published_sets place;
    std::filesystem::create_directory(place.directory());
    std::filesystem::permissions(place.directory(), std::filesystem::perms::owner_all);
    std::ofstream(place.file()) << "";
    GetParam().inflict(place);
    const provider locks = place.open();
    auto held = locks.make_lock("x").try_acquire();
    ASSERT_TRUE(held);
    EXPECT_FALSE(place.open().make_lock("x").try_acquire());
}

TEST_P(DamagedFile, IsAnErrorWhereSomebodyDoes) {
    const published_sets place;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    GetParam().inflict(place);
    std::string text;
    EXPECT_EQ(code_of([&] { place.open().make_lock("x").try_acquire(); }, &text), errc::protocol) << text;
    EXPECT_NE(text.find(place.file()), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(
    system, DamagedFile,
    testing::Values(damage{"emptied", [](const published_sets& place) { ::truncate(place.file().c_str(), 0); }},
                    damage{"cut", [](const published_sets& place) { ::truncate(place.file().c_str(), 4097); }},
                    damage{"too_long", [](const published_sets& place) { ::truncate(place.file().c_str(), 1 << 20); }},
                    damage{"text",
                           [](const published_sets& place) { std::ofstream(place.file()) << std::string(9000, 'x'); }}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(SystemSets, OfALaterVersionAreLeftAloneWhileInUse) {
    const published_sets place;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    file_head head = place.head();
    head.version = 2;
    place.write_head(head);
    std::string text;
    EXPECT_EQ(code_of([&] { place.open().make_lock("x").try_acquire(); }, &text), errc::protocol);
    EXPECT_NE(text.find("version"), std::string::npos) << text;
}

TEST(SystemSets, OfAnotherNamespaceAreAnErrorWhileInUse) {
    const published_sets place;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    file_head head = place.head();
    head.ipc_namespace += 1;
    place.write_head(head);
    std::string text;
    EXPECT_EQ(code_of([&] { place.open().make_lock("x").try_acquire(); }, &text), errc::unsupported);
    EXPECT_NE(text.find("IPC namespace"), std::string::npos) << text;
    // Those who are in it go on.
    EXPECT_EQ(held.state(), held_state::held);
    EXPECT_FALSE(locks.make_lock("x").try_acquire());
}

TEST(SystemDirectory, MustBeOnesOwn) {
    const published_sets place;
    const auto acquire = [&] { place.open().make_lock("x").try_acquire(); };
    std::string text;

    std::ofstream(place.directory()) << "a file";
    EXPECT_EQ(code_of(acquire), errc::invalid_state);
    std::filesystem::remove(place.directory());

    std::filesystem::create_directory_symlink("/dev/shm", place.directory());
    EXPECT_NE(code_of(acquire), errc{});
    std::filesystem::remove(place.directory());

    std::filesystem::create_directory(place.directory());
    ::chmod(place.directory().c_str(), 0770);
    EXPECT_EQ(code_of(acquire, &text), errc::permission);
    EXPECT_NE(text.find("chmod 700"), std::string::npos) << text;

    if (::geteuid() != 0) return;
    ::chmod(place.directory().c_str(), 0700);
    ASSERT_EQ(::chown(place.directory().c_str(), 65534, 65534), 0);
    EXPECT_EQ(code_of(acquire, &text), errc::permission);
    EXPECT_NE(text.find("65534"), std::string::npos) << text;
}

TEST(SystemDirectory, WithoutAParentIsAnError) {
    system::options opts;
    opts.directory = "/dev/shm/holdfast-no-such-parent/sets";
    EXPECT_EQ(code_of([&] { system::make_provider(opts).make_lock("x").try_acquire(); }), errc::invalid_options);
}

TEST(SystemDirectory, OfEverybodyMustBeSticky) {
    const published_sets place(system::scope::machine);
    take(place.open());
    struct stat status {};
    ASSERT_EQ(::stat(place.directory().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 01777U);
    ::chmod(place.directory().c_str(), 0777);
    EXPECT_EQ(code_of([&] { take(place.open()); }), errc::permission);
}

TEST(SystemDirectory, ThatSomebodyKeepsLockedDoesNotHinderACancel) {
    const published_sets place;
    take(place.open());
    const int directory = ::open(place.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::flock(directory, LOCK_EX), 0);
    std::stop_source stop;
    const provider locks = place.open();
    std::jthread cancels([&] {
        std::this_thread::sleep_for(20ms);
        stop.request_stop();
    });
    error_code code;
    EXPECT_FALSE(locks.make_lock("x").acquire(timeout::infinite(), stop.get_token(), code));
    EXPECT_EQ(code, errc::cancelled);
    ::close(directory);
}

TEST(SystemTickets, OfAnotherNumberAreReported) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    auto held = locks.make_semaphore("x", 3).acquire();
    std::string text;
    EXPECT_EQ(code_of([&] { others.make_semaphore("x", 4).try_acquire(); }, &text), errc::invalid_argument);
    EXPECT_NE(text.find("3 tickets, not 4"), std::string::npos) << text;
    EXPECT_EQ(others.make_semaphore("x", 3).current_count(), 2);
    held.release();
}

TEST(SystemTickets, MayBeOfAnotherNumberOnceNobodyUsesThem) {
    const published_sets place;
    const provider others = place.open();
    others.make_lock("keeps the set");
    auto keeps = others.make_lock("keeps the set").acquire();
    for (const int count : {3, 7, 1, INT_MAX, 2}) {
        const semaphore tickets = place.open().make_semaphore("x", count);
        EXPECT_EQ(tickets.current_count(), count);
        EXPECT_TRUE(tickets.try_acquire());
    }
}

TEST(SystemTickets, BeyondWhatTheKernelCountsAreRefusedWithTheReason) {
    const published_sets place;
    const provider locks = place.open();
    const semaphore most = locks.make_semaphore("most", 32767);
    const semaphore more = locks.make_semaphore("more", 32768);
    std::vector<lock_handle> held;
    for (const semaphore& each : {most, more}) {
        held.push_back(each.acquire());
        EXPECT_EQ(each.current_count(), each.max_count() - 1);
        const auto found = place.find(std::string(each.mapped_name()));
        sembuf rest{static_cast<unsigned short>(found.first), -32766, IPC_NOWAIT};
        ASSERT_EQ(::semop(found.semaphores, &rest, 1), 0);
    }
    EXPECT_FALSE(most.try_acquire());
    std::string text;
    EXPECT_EQ(code_of([&] { more.try_acquire(); }, &text), errc::unavailable);
    EXPECT_NE(text.find("32767"), std::string::npos) << text;
    EXPECT_EQ(more.current_count(), 1);
}

TEST(SystemLoss, OfTheSetIsToldAndTheNextAcquireRecovers) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    std::vector<lock_handle> held;
    std::vector<std::stop_token> lost;
    for (const char* name : {"a", "b", "c"}) {
        held.push_back(locks.make_lock(name).acquire());
        lost.push_back(held.back().lost_token());
    }
    // Of all of them one thread watches one set.
    EXPECT_EQ(count_threads("holdfast-sets"), 1);
    place.remove();
    for (const std::stop_token& each : lost) EXPECT_TRUE(eventually([&] { return each.stop_requested(); }));
    auto next = others.make_lock("a").try_acquire();
    ASSERT_TRUE(next);
    EXPECT_FALSE(locks.make_lock("a").try_acquire());
    error_code code;
    held[0].release(code);
    EXPECT_EQ(code, errc::lost);
    EXPECT_EQ(next->state(), held_state::held);
}

TEST(SystemLoss, OfTheSetLetsAWaiterIn) {
    const published_sets place;
    const auto seen = std::make_shared<notices>();
    provider_settings settings;
    settings.observer = seen;
    const provider locks = place.open();
    const provider others = place.open(settings);
    for (const bool cancellable : {false, true}) {
        auto held = locks.make_lock("x").acquire();
        const int waits = seen->waits();
        std::jthread waiting([&](const std::stop_token& stop) {
            EXPECT_TRUE(others.make_lock("x").acquire(timeout::infinite(), cancellable ? stop : std::stop_token()));
        });
        ASSERT_TRUE(seen->await_waiting(waits + 1));
        place.remove();
        waiting.join();
        EXPECT_EQ(held.state(), held_state::lost);
    }
}

TEST(SystemLoss, OfTheSetLetsAsynchronousWaitersInOneByOne) {
    const published_sets place;
    const auto seen = std::make_shared<notices>();
    provider_settings settings;
    settings.observer = seen;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    std::vector<provider> others;
    std::vector<std::promise<error_code>> ends(6);
    std::atomic<int> inside{0};
    for (auto& end : ends) {
        // Two of each provider: one stands, one is behind it.
        if (others.size() < 3) others.push_back(place.open(settings));
        const auto at = static_cast<std::size_t>(&end - ends.data()) % others.size();
        others[at].make_lock("x").async_acquire(timeout::infinite(), [&](error_code code, lock_handle got) {
            EXPECT_EQ(++inside, 1);
            EXPECT_EQ(got.state(), held_state::held);
            --inside;
            got.release();
            end.set_value(code);
        });
    }
    ASSERT_TRUE(seen->await_waiting(3));
    place.remove();
    for (auto& end : ends) EXPECT_FALSE(end.get_future().get());
    EXPECT_EQ(held.state(), held_state::lost);
    EXPECT_TRUE(locks.make_lock("x").try_acquire());
}

TEST(SystemLoss, OfTheSetIsSeenInTheCount) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    const semaphore tickets = locks.make_semaphore("x", 3);
    auto held = others.make_semaphore("x", 3).acquire();
    EXPECT_EQ(tickets.current_count(), 2);
    place.remove();
    // Without anybody who acquires one first.
    EXPECT_EQ(tickets.current_count(), 3);
    EXPECT_EQ(held.state(), held_state::lost);
    const auto next = others.make_semaphore("x", 3).acquire();
    EXPECT_EQ(tickets.current_count(), 2);
}

TEST(SystemLoss, OfTheFileIsToldOnceAnotherIsMade) {
    const published_sets place;
    const provider locks = place.open();
    auto held = locks.make_lock("x").acquire();
    const std::stop_token lost = held.lost_token();
    std::filesystem::remove(place.file());
    EXPECT_TRUE(place.open().make_lock("x").try_acquire());
    EXPECT_TRUE(eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(held.state(), held_state::lost);
}

TEST(SystemLoss, OfTheWholeDirectoryIsToldOnceAnotherIsMade) {
    const published_sets place;
    const auto seen = std::make_shared<notices>();
    provider_settings settings;
    settings.observer = seen;
    const provider locks = place.open();
    const provider known = place.open();
    auto held = locks.make_lock("x").acquire();
    auto read = locks.make_reader_writer_lock("x").acquire_read();
    const std::stop_token lost = held.lost_token();
    // One that knows its place in the old set, and would not look again.
    EXPECT_FALSE(known.make_lock("x").try_acquire());
    std::vector<std::jthread> waiting;
    std::atomic<int> inside{0};
    std::atomic<int> served{0};
    for (const bool cancellable : {false, true}) {
        waiting.emplace_back([&, cancellable](const std::stop_token& stop) {
            const provider mine = place.open(settings);
            const lock_handle got =
                mine.make_lock("x").acquire(timeout::infinite(), cancellable ? stop : std::stop_token());
            EXPECT_EQ(++inside, 1);
            --inside;
            ++served;
        });
    }
    ASSERT_TRUE(seen->await_waiting(2));
    const int tickets = place.id();
    const int readers = place.id("readers-0");
    std::filesystem::remove_all(place.directory());
    // Nobody has come yet who could not know.
    EXPECT_FALSE(lost.stop_requested());

    auto next = place.open().make_lock("x").acquire(30s);
    EXPECT_EQ(++inside, 1);
    EXPECT_TRUE(eventually([&] { return lost.stop_requested(); }));
    EXPECT_EQ(held.state(), held_state::lost);
    EXPECT_EQ(read.state(), held_state::lost);
    EXPECT_FALSE(known.make_lock("x").try_acquire());
    error_code code;
    held.release(code);
    EXPECT_EQ(code, errc::lost);
    // Those who waited may have been served before it, or are after it, and never beside it.
    --inside;
    next.release();
    // Not left to their destructors, which would cancel those that still wait.
    for (auto& each : waiting) each.join();
    EXPECT_EQ(served, 2);
    for (const int id : {tickets, readers}) EXPECT_EQ(::semctl(id, 0, GETVAL), -1);
}

TEST(SystemLoss, OfTheDirectoryLeavesNoSetBehindWhereNobodyComes) {
    const published_sets place;
    int old = -1;
    {
        const provider locks = place.open();
        const provider others = place.open();
        auto held = locks.make_lock("x").acquire();
        old = place.id();
        std::filesystem::remove_all(place.directory());
        // Those who were there before go on to exclude each other.
        EXPECT_FALSE(locks.make_lock("x").try_acquire());
    }
    EXPECT_EQ(::semctl(old, 0, GETVAL), -1);
    EXPECT_FALSE(std::filesystem::exists(place.directory()));
}

/// With every stop of the set in somebody else's use.
class WithoutStops : public testing::Test {
protected:
    WithoutStops() {
        held_ = locks_.make_lock("x").acquire();
        id_ = place_.id();
        EXPECT_TRUE(change_all(2));
        provider_settings settings;
        settings.observer = seen_;
        others_.emplace(place_.open(settings));
    }
    // Or the set would be in use for ever.
    ~WithoutStops() override { change_all(-2); }

    bool change_all(short by) const {
        bool done = true;
        for (int index = 0; index < system::layout::of(system::set_kind::tickets, 0).stops; ++index) {
            sembuf take{static_cast<unsigned short>(system::layout::marks + index), by, IPC_NOWAIT};
            done = ::semop(id_, &take, 1) == 0 && done;
        }
        return done;
    }

    const published_sets place_;
    int id_ = -1;
    const provider locks_ = place_.open();
    const std::shared_ptr<notices> seen_ = std::make_shared<notices>();
    std::optional<provider> others_;
    lock_handle held_;
};

TEST_F(WithoutStops, ABlockingWaitIsGrantedOrCancelledAllTheSame) {
    for (const bool cancel : {true, false}) {
        error_code code;
        std::jthread waiting([&](const std::stop_token& stop) {
            others_->make_lock("x").acquire(timeout::infinite(), stop, code).release();
        });
        ASSERT_TRUE(seen_->await_texts(cancel ? 1 : 2));
        cancel ? static_cast<void>(waiting.request_stop()) : held_.release();
        waiting.join();
        EXPECT_EQ(code, cancel ? make_error_code(errc::cancelled) : error_code());
    }
}

TEST_F(WithoutStops, AnAsynchronousWaitLooksAtIntervals) {
    std::promise<error_code> done;
    others_->make_lock("x").async_acquire(timeout::infinite(),
                                          [&](error_code code, lock_handle) { done.set_value(code); });
    ASSERT_TRUE(seen_->await_texts(1));
    held_.release();
    EXPECT_FALSE(done.get_future().get());
}

TEST_F(WithoutStops, ALossIsSeenByLooking) {
    auto mine = others_->make_lock("y").acquire();
    const std::stop_token lost = mine.lost_token();
    EXPECT_EQ(seen_->texts().size(), 1U);
    place_.remove();
    EXPECT_EQ(mine.state(), held_state::lost);
    EXPECT_TRUE(eventually([&] { return lost.stop_requested(); }));
}

/// A handler of the user's, which no system call goes on after.
class users_signal {
public:
    users_signal() {
        struct sigaction own {};
        own.sa_handler = [](int) { ++handled_; };
        require(::sigaction(SIGUSR1, &own, &before_) == 0, "sigaction");
    }
    users_signal(const users_signal&) = delete;
    users_signal& operator=(const users_signal&) = delete;
    ~users_signal() { ::sigaction(SIGUSR1, &before_, nullptr); }

    /// Comes back when it has been handled.
    static bool send(std::jthread& to) {
        const int handled = handled_;
        ::pthread_kill(to.native_handle(), SIGUSR1);
        return eventually([&] { return handled_ == handled + 1; });
    }

private:
    struct sigaction before_ {};
    static inline std::atomic<int> handled_{0};
};

TEST(SystemSignals, OfTheUsersAreTheUsersAndEndNoWait) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    const users_signal signal;
    for (const bool cancellable : {false, true}) {
        auto held = locks.make_lock("x").acquire();
        std::atomic<bool> got{false};
        std::jthread waiting([&](const std::stop_token& stop) {
            const lock_handle mine =
                others.make_lock("x").acquire(timeout::infinite(), cancellable ? stop : std::stop_token());
            got = true;
        });
        const auto stands = [&] { return place.waiters("lock:x") == 1; };
        ASSERT_TRUE(eventually(stands));
        EXPECT_TRUE(signal.send(waiting));
        EXPECT_TRUE(eventually(stands));
        EXPECT_FALSE(got);
        held.release();
        waiting.join();
        EXPECT_TRUE(got);
    }
}

TEST(SystemSignals, OfTheUsersCostNobodyItsPlaceInTheProcess) {
    const published_sets place;
    const provider locks = place.open();
    const provider others = place.open();
    const lock mine = others.make_lock("x");
    // From here on the name is known, and a wait needs no machine.
    mine.acquire().release();
    const users_signal signal;
    for (const bool cancellable : {false, true}) {
        auto held = locks.make_lock("x").acquire();
        std::atomic<bool> first_had_it{false};
        std::jthread first([&](const std::stop_token& stop) {
            const lock_handle got = mine.acquire(timeout::infinite(), cancellable ? stop : std::stop_token());
            first_had_it = true;
        });
        const auto stands = [&] { return place.waiters("lock:x") == 1; };
        ASSERT_TRUE(eventually(stands));
        std::promise<bool> second;
        mine.async_acquire(timeout::infinite(),
                           [&](error_code code, lock_handle) { second.set_value(!code && first_had_it); });
        for (int count = 0; count < 3; ++count) {
            EXPECT_TRUE(signal.send(first));
            EXPECT_TRUE(eventually(stands));
        }
        held.release();
        EXPECT_TRUE(second.get_future().get()) << "the one behind was served first";
    }
}

TEST(SystemSignals, OfTheUsersOpenNoGateOfAWaitingWriter) {
    const published_sets place;
    const reader_writer_lock theirs = place.open().make_reader_writer_lock("x");
    const reader_writer_lock others = place.open().make_reader_writer_lock("x");
    const reader_writer_lock mine = place.open().make_reader_writer_lock("x");
    mine.acquire_write().release();
    others.acquire_read().release();
    const users_signal signal;
    int readers_let_in = 0;
    for (int round = 0; round < 100; ++round) {
        auto held = theirs.acquire_read();
        std::jthread writer([&](const std::stop_token& stop) {
            mine.acquire_write(timeout::infinite(), round % 2 == 0 ? stop : std::stop_token()).release();
        });
        const auto stands = [&] { return place.waiters("readers:x") == 1; };
        ASSERT_TRUE(eventually(stands));
        std::atomic<bool> begun{false};
        std::jthread reader([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                readers_let_in += others.try_acquire_read() ? 1 : 0;
                begun = true;
            }
        });
        ASSERT_TRUE(eventually([&] { return begun.load(); }));
        EXPECT_TRUE(signal.send(writer));
        EXPECT_TRUE(eventually(stands));
        reader.request_stop();
        reader.join();
        held.release();
    }
    EXPECT_EQ(readers_let_in, 0);
}

/// How many stops of a set are somebody's.
int stops_in_use(int id) {
    int count = 0;
    for (int at = 0; at < system::layout::of(system::set_kind::tickets, 0).stops; ++at) {
        count += ::semctl(id, system::layout::marks + at, GETVAL) == 0 ? 0 : 1;
    }
    return count;
}

TEST(SystemStops, AreKeptByNobodyWhoDoesNotWaitButOne) {
    const published_sets place;
    system::set_directory directory(place.opts());
    std::shared_ptr<system::slot> found;
    system::failure why;
    ASSERT_EQ(directory.find(system::set_kind::tickets, "lock:x", 1, found, why),
              system::set_directory::resolution::found);
    const auto& set = found->set;
    std::vector<int> taken;
    for (int count = 0; count < 5; ++count) taken.push_back(set->take_stop().value());
    EXPECT_EQ(stops_in_use(set->id()), 5);
    for (const int each : taken) set->return_stop(each);
    EXPECT_EQ(stops_in_use(set->id()), 1);
    // The same one again.
    const int again = set->take_stop().value();
    EXPECT_EQ(stops_in_use(set->id()), 1);

    // Where next to all are others', not even one is kept.
    taken.clear();
    while (const auto one = set->take_stop()) taken.push_back(*one);
    EXPECT_EQ(stops_in_use(set->id()), set->arrangement().stops);
    for (const int each : taken) set->return_stop(each);
    set->return_stop(again);
    EXPECT_EQ(stops_in_use(set->id()), 0);
}

TEST(SystemAsync, WaitsAreBoundedInThreads) {
    const published_sets place;
    const provider locks = place.open();
    const auto seen = std::make_shared<notices>();
    provider_settings settings;
    settings.observer = seen;
    const provider others = place.open(settings);
    constexpr int names = 80;
    std::vector<lock_handle> held;
    for (int at = 0; at < names; ++at) held.push_back(locks.make_lock(std::to_string(at)).acquire());
    std::atomic<int> granted{0};
    for (int at = 0; at < names; ++at) {
        for (int waiter = 0; waiter < 3; ++waiter) {
            others.make_lock(std::to_string(at)).async_acquire(timeout::infinite(), [&](error_code code, lock_handle) {
                EXPECT_FALSE(code);
                ++granted;
            });
        }
    }
    EXPECT_TRUE(seen->await_waiting(names));
    EXPECT_LE(count_threads("holdfast-wait"), 64);
    EXPECT_FALSE(seen->texts().empty());
    held.clear();
    EXPECT_TRUE(eventually([&] { return granted == 3 * names; }, 20s));
}

}  // namespace
}  // namespace holdfast::test
