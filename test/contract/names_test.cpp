// Names, timeouts as a type, and what a provider says of itself.
#include <contract/fixture.hpp>

#include <limits>

namespace holdfast::contract {
namespace {

class names : public contract_test {
protected:
    /// Holds all of @p list at once, which shows that each is a lock of its own.
    void expect_independent(const std::vector<std::string>& list) {
        const provider elsewhere = place().make_provider();
        std::vector<held> taken;
        for (const std::string& each : list) {
            // Some of these names cannot be made unique; somebody else may be at them.
            taken.push_back(take(lock_target(locks(), each), limits().patience));
            EXPECT_TRUE(is_taken(lock_target(elsewhere, each))) << each;
            EXPECT_EQ(locks().make_lock(each).name(), each);
        }
    }
};

HOLDFAST_CONTRACT_SUITE(names, {.needs = &capabilities::lock, .what = "lock"});

HOLDFAST_CONTRACT(names, of_any_content_are_locks_of_their_own, covers(36)) {
    HOLDFAST_NEEDS(place().takes_any_name(), "free names");
    const std::string start = place().unique_name();
    expect_independent({"",
                        ".",
                        "..",
                        " ",
                        start,
                        start + "/",
                        start + "//",
                        start + "/../x",
                        start + "\\",
                        start + "\\\\",
                        start + ":",
                        start + "*?<>|\"",
                        start + " ",
                        start + "\t",
                        start + "\n",
                        start + ".",
                        start + "..",
                        start + ".lock",
                        start + "%2F",
                        start + "CON",
                        start + (place().takes_nul() ? std::string("\0x", 2) : std::string("0x")),
                        start + "\xc3\xa4",
                        start + "a\xcc\x88",
                        start + "\xf0\x9f\x94\x92"});
}

HOLDFAST_CONTRACT(names, may_be_long, covers(36, 37)) {
    HOLDFAST_NEEDS(place().takes_any_name(), "free names");
    const std::string start = place().unique_name();
    std::string wide;
    for (int count = 0; count < 1000; ++count) wide += "\xe2\x82\xac";
    expect_independent({start + std::string(1000, 'x'), start + std::string(1001, 'x'), start + std::string(9999, '\\'),
                        start + std::string(1000, 'x') + "a", start + std::string(1000, 'x') + "A", start + wide});
}

HOLDFAST_CONTRACT(names, that_differ_in_case_are_independent, covers(38)) {
    HOLDFAST_NEEDS(place().tells_case_apart(), "names that are no paths of Windows");
    const std::string start = place().unique_name();
    expect_independent({start + "a", start + "A", start + "aB", start + "Ab"});
}

HOLDFAST_CONTRACT(names, that_are_not_utf8_are_refused, covers(36)) {
    for (const char* each : {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
        try {
            locks().make_lock(place().unique_name() + each);
            ADD_FAILURE() << "it was accepted";
        } catch (const error& thrown) {
            EXPECT_EQ(thrown.boost_code(), errc::invalid_name) << thrown.what();
        }
    }
}

HOLDFAST_CONTRACT(names, belong_to_the_kind_of_lock_that_the_backend_says_it_has, covers()) {
    const std::string name = place().unique_name();
    const auto expect_support = [](bool supported, auto make) {
        try {
            make();
            EXPECT_TRUE(supported);
        } catch (const error& thrown) {
            EXPECT_FALSE(supported) << thrown.what();
            EXPECT_EQ(thrown.boost_code(), errc::unsupported);
        }
    };
    const capabilities& really = locks().capabilities();
    expect_support(really.lock, [&] { locks().make_lock(name); });
    expect_support(really.reader_writer_lock, [&] { locks().make_reader_writer_lock(name); });
    expect_support(really.upgradeable_reader_writer_lock, [&] { locks().make_upgradeable_reader_writer_lock(name); });
    expect_support(really.semaphore, [&] { locks().make_semaphore(name, 2); });
}

HOLDFAST_CONTRACT(names, are_tested_with_the_capabilities_that_the_provider_has, covers()) {
    const capabilities& really = locks().capabilities();
    EXPECT_EQ(can().lock, really.lock);
    EXPECT_EQ(can().reader_writer_lock, really.reader_writer_lock);
    EXPECT_EQ(can().upgradeable_reader_writer_lock, really.upgradeable_reader_writer_lock);
    EXPECT_EQ(can().semaphore, really.semaphore);
    EXPECT_EQ(can().current_count, really.current_count);
    EXPECT_EQ(can().loss_detection, really.loss_detection);
    EXPECT_EQ(can().fencing, really.fencing);
    EXPECT_FALSE(locks().backend_name().empty());
}

template <class Duration>
bool is_refused(Duration duration) {
    try {
        (void)timeout(duration);
        return false;
    } catch (const error& thrown) {
        return thrown.boost_code() == errc::invalid_argument;
    }
}

HOLDFAST_CONTRACT_ONCE(timeouts, out_of_range_are_refused, covers(9)) {
    constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
    EXPECT_TRUE(is_refused(milliseconds(-1)));
    EXPECT_TRUE(is_refused(milliseconds(-2)));
    EXPECT_TRUE(is_refused(std::chrono::nanoseconds(-1)));
    EXPECT_TRUE(is_refused(std::chrono::hours::min()));
    EXPECT_TRUE(is_refused(milliseconds(largest + 1)));
    EXPECT_TRUE(is_refused(std::chrono::hours::max()));
    EXPECT_TRUE(is_refused(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())));
    EXPECT_TRUE(is_refused(std::chrono::duration<double>(-0.1)));
    EXPECT_TRUE(is_refused(std::chrono::duration<double>(std::numeric_limits<double>::infinity())));
    EXPECT_FALSE(is_refused(milliseconds(largest)));
    EXPECT_FALSE(is_refused(milliseconds(0)));
    EXPECT_FALSE(is_refused(std::chrono::duration<double>(-0.0)));
}

HOLDFAST_CONTRACT_ONCE(timeouts, are_rounded_up_to_milliseconds, covers(11)) {
    EXPECT_EQ(timeout(std::chrono::nanoseconds(1)).duration(), milliseconds(1));
    EXPECT_EQ(timeout(std::chrono::microseconds(1000)).duration(), milliseconds(1));
    EXPECT_EQ(timeout(std::chrono::microseconds(1001)).duration(), milliseconds(2));
    EXPECT_EQ(timeout(std::chrono::duration<double>(10.4)).duration(), milliseconds(10400));
    EXPECT_TRUE(timeout(seconds(0)).is_zero());
    EXPECT_FALSE(timeout(std::chrono::nanoseconds(1)).is_zero());
    EXPECT_TRUE(timeout::infinite().is_infinite());
    EXPECT_FALSE(timeout::zero().is_infinite());
}

HOLDFAST_CONTRACT_ONCE(timeouts, compare_with_infinite_last, covers(12)) {
    const timeout largest = milliseconds(std::numeric_limits<std::int32_t>::max());
    EXPECT_GT(timeout::infinite(), largest);
    EXPECT_EQ(timeout::infinite(), timeout::infinite());
    EXPECT_LT(timeout::zero(), timeout(milliseconds(1)));
}

}  // namespace
}  // namespace holdfast::contract
