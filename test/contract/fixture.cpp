#include <contract/fixture.hpp>

#include <atomic>
#include <ostream>
#include <random>
#include <thread>

#include <unistd.h>

namespace holdfast::contract {
namespace {

bool capabilities::*needed_for(shape what) {
    switch (what) {
        case shape::none: return nullptr;
        case shape::lock:
        case shape::composite: return &capabilities::lock;
        case shape::write:
        case shape::composite_write: return &capabilities::reader_writer_lock;
        case shape::upgradeable_read:
        case shape::upgradeable_write: return &capabilities::upgradeable_reader_writer_lock;
        case shape::single_ticket:
        case shape::composite_tickets:
        case shape::last_ticket: return &capabilities::semaphore;
    }
    return nullptr;
}

}  // namespace

std::string environment::unique_name() {
    static const std::string process = std::to_string(::getpid()) + "-" + std::to_string(std::random_device{}());
    static std::atomic<int> count{0};
    return "contract-" + process + "-" + std::to_string(++count);
}

std::string name_of(shape what) {
    switch (what) {
        case shape::none: return "";
        case shape::lock: return "lock";
        case shape::write: return "write";
        case shape::upgradeable_read: return "upgradeable_read";
        case shape::upgradeable_write: return "upgradeable_write";
        case shape::single_ticket: return "single_ticket";
        case shape::last_ticket: return "last_ticket";
        case shape::composite: return "composite";
        case shape::composite_write: return "composite_write";
        case shape::composite_tickets: return "composite_tickets";
    }
    return {};
}

shape single_of(shape what) {
    switch (what) {
        case shape::composite: return shape::lock;
        case shape::composite_write: return shape::write;
        case shape::composite_tickets: return shape::single_ticket;
        default: return what;
    }
}

std::string contract_case::name() const {
    std::string made = variant.name + "_" + contract::name_of(how);
    if (shape != contract::shape::none) made += "_" + contract::name_of(shape);
    return made;
}

std::string case_name(const testing::TestParamInfo<contract_case>& which) {
    return which.param.name();
}

void PrintTo(const contract_case& one, std::ostream* out) {
    *out << one.name();
}

std::vector<contract_case> instances(const std::string& suite, const axes& over) {
    std::vector<contract_case> made;
    for (const environment_variant& variant : environment_variants()) {
        bool first = true;
        for (const shape what : over.shapes) {
            const auto needed = over.needs != nullptr ? over.needs : needed_for(what);
            const bool able = needed == nullptr || variant.can.*needed;
            int count = 0;
            for (const style how : over.styles) {
                if (!over.crossed && !first && how != over.styles.front()) continue;
                ++count;
                if (able) made.push_back({variant, how, what});
            }
            if (able) first = false;
            if (!able) leave_out(suite, variant.name, over.needs != nullptr ? over.what : name_of(what), count);
        }
    }
    return made;
}

testing::AssertionResult failed_with(const outcome& call, errc code) {
    if (call.handle) return testing::AssertionFailure() << "something is held";
    if (call.code == code) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "ended with '" << call.code.message() << "': " << call.diag.message;
}

void contract_test::SetUp() {
    place_ = GetParam().variant.make();
    limits_ = place_->limits();
    locks_.emplace(place_->make_provider());
    calls_ = make_call_style(GetParam().how);
    other_calls_ = make_call_style(is_sync(GetParam().how) ? style::callback : style::sync_code);
}

void contract_test::TearDown() {
    // Before what they call into.
    calls_.reset();
    other_calls_.reset();
}

held contract_test::take(const target& on, timeout limit) {
    outcome how = acquire(on, limit);
    EXPECT_TRUE(how.granted()) << how.code.message() << ": " << how.diag.message;
    return std::move(how.handle);
}

void contract_test::give(held& handle) {
    const outcome how = release(handle);
    EXPECT_FALSE(how.code) << how.code.message() << ": " << how.diag.message;
    EXPECT_FALSE(handle);
}

void contract_test::expect_no_try_refused(int at_once, const std::function<target()>& make) {
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (int count = 0; count < at_once; ++count) {
        threads.emplace_back([&, same = make()] {
            for (int round = 0; round < limits().race_rounds; ++round) {
                outcome how = try_acquire(same);
                EXPECT_FALSE(how.code) << how.code.message();
                if (how.nothing()) ++refused;
                if (how.granted()) give(how.handle);
            }
        });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(refused, 0);
}

testing::AssertionResult contract_test::is_free(const target& on) {
    outcome how = other_calls().run({verb::try_acquire, &on});
    if (how.code) return testing::AssertionFailure() << "a try ended with " << how.code.message();
    if (!how.handle) return testing::AssertionFailure() << "it is held";
    return testing::AssertionSuccess();
}

testing::AssertionResult contract_test::is_taken(const target& on) {
    outcome how = other_calls().run({verb::try_acquire, &on});
    if (how.code) return testing::AssertionFailure() << "a try ended with " << how.code.message();
    if (how.handle) return testing::AssertionFailure() << "it is free";
    return testing::AssertionSuccess();
}

testing::AssertionResult contract_test::comes_to_wait(const pending& call) {
    if (!eventually([&] { return call.done() || call.waits(); }, limits_.patience)) {
        return testing::AssertionFailure() << "the call neither ends nor waits";
    }
    if (call.done()) return testing::AssertionFailure() << "the call did not wait";
    return testing::AssertionSuccess();
}

pending contract_test::start_waiting(const target& on, timeout limit) {
    pending made = start_acquire(on, limit);
    EXPECT_TRUE(comes_to_wait(made));
    return made;
}

subject::subject(environment& place, shape what, std::string name) : shape_(what), name_(std::move(name)) {
    if (single_of(what) != what) second_name_ = place.unique_name();
    if (what != shape::last_ticket) return;
    tickets_ = 5;
    // Held by somebody else, as far as the provider under test can tell.
    const provider elsewhere = place.make_provider();
    const semaphore tickets = elsewhere.make_semaphore(name_, tickets_);
    for (int count = 1; count < tickets_; ++count) others_.push_back(tickets.acquire(seconds(10)));
}

target subject::on(const provider& from) const {
    switch (shape_) {
        case shape::write: return {from.make_reader_writer_lock(name_), access::exclusive};
        case shape::upgradeable_read: return {from.make_upgradeable_reader_writer_lock(name_), access::upgradeable};
        case shape::upgradeable_write: return {from.make_upgradeable_reader_writer_lock(name_), access::exclusive};
        case shape::single_ticket:
        case shape::last_ticket: return ticket_target(from, name_, tickets_);
        case shape::composite:
            return {std::vector<lock_request>{from.make_lock(name_), from.make_lock(second_name_)}, access::exclusive};
        case shape::composite_write:
            return {std::vector<lock_request>{for_writing(from.make_reader_writer_lock(name_)),
                                              for_writing(from.make_reader_writer_lock(second_name_))},
                    access::exclusive};
        case shape::composite_tickets:
            return {std::vector<lock_request>{from.make_semaphore(name_, 1), from.make_semaphore(second_name_, 1)},
                    access::ticket};
        case shape::none:
        case shape::lock: break;
    }
    return lock_target(from, name_);
}

void shaped_test::SetUp() {
    contract_test::SetUp();
    subject_.emplace(place(), GetParam().shape);
}

void shaped_test::TearDown() {
    subject_.reset();
    contract_test::TearDown();
}

bool shaped_test::lose() {
    const auto lost = place().lose_holds(one().name(), thing().mapped_name());
    if (lost) {
        EXPECT_GE(*lost, 1);
    }
    return lost.has_value();
}

target lock_target(const provider& from, const std::string& name) {
    return {from.make_lock(name), access::exclusive};
}

target ticket_target(const provider& from, const std::string& name, int tickets) {
    return {from.make_semaphore(name, tickets), access::ticket};
}

}  // namespace holdfast::contract
