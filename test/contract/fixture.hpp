// What every test of the contract has at hand: a place for locks, a way of calling, and short words for both.
#ifndef HOLDFAST_TEST_CONTRACT_FIXTURE_HPP
#define HOLDFAST_TEST_CONTRACT_FIXTURE_HPP

#include <contract/call_styles.hpp>
#include <contract/coverage.hpp>
#include <contract/environment.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::contract {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// The ways of having something alone: whatever a lock must do, each of these must.
enum class shape {
    none,
    lock,
    write,
    upgradeable_read,
    upgradeable_write,
    single_ticket,
    last_ticket,
    /// Two of them taken together.
    composite,
    composite_write,
    composite_tickets,
};
/// Of what a composite has two; any other shape is that itself.
shape single_of(shape what);
std::string name_of(shape what);

struct contract_case {
    environment_variant variant;
    style how = style::sync_throw;
    contract::shape shape = contract::shape::none;

    std::string name() const;
};
std::string case_name(const testing::TestParamInfo<contract_case>& which);
void PrintTo(const contract_case& one, std::ostream* out);

/// What a suite varies besides the environment.
struct axes {
    std::vector<style> styles = {style::sync_throw};
    std::vector<shape> shapes = {shape::none};
    /// False for tests that take long: the first shape in every style, the others in the first style only.
    bool crossed = true;
    /// What the whole suite needs, and how that is called.
    bool capabilities::*needs = nullptr;
    const char* what = "";
};

/// The instances of @p suite that this backend can run; the others are counted as left out.
std::vector<contract_case> instances(const std::string& suite, const axes& over);

/// @p call ended with the error @p code, and with nothing held.
testing::AssertionResult failed_with(const outcome& call, errc code);

class contract_test : public testing::TestWithParam<contract_case> {
protected:
    void SetUp() override;
    void TearDown() override;

    environment& place() { return *place_; }
    const capabilities& can() const { return GetParam().variant.can; }
    contract::limits limits() const { return limits_; }
    /// A provider that most tests do with.
    const provider& locks() const { return *locks_; }
    call_style& calls() { return *calls_; }
    /// A style that is not the one under test: the other family's plainest.
    call_style& other_calls() { return *other_calls_; }

    // Calls in the style under test, whole and begun.
    outcome acquire(const target& on, timeout limit = timeout::infinite()) {
        return calls().run({verb::acquire, &on, nullptr, limit});
    }
    outcome try_acquire(const target& on, timeout limit = timeout::zero()) {
        return calls().run({verb::try_acquire, &on, nullptr, limit});
    }
    /// So many threads, each with one that @p make gives, try and give back, again and again: all have a place.
    void expect_no_try_refused(int at_once, const std::function<target()>& make);
    outcome release(held& handle) { return calls().run({verb::release, nullptr, &handle}); }
    outcome upgrade(held& handle, timeout limit = timeout::zero()) {
        return calls().run({verb::upgrade, nullptr, &handle, limit});
    }
    pending start_acquire(const target& on, timeout limit = timeout::infinite()) {
        return calls().start({verb::acquire, &on, nullptr, limit});
    }
    pending start_try_acquire(const target& on, timeout limit) {
        return calls().start({verb::try_acquire, &on, nullptr, limit});
    }
    pending start_wait_lost(held& handle) { return calls().start({verb::wait_lost, nullptr, &handle}); }

    /// Acquires what must be free; the test fails if it is not.
    held take(const target& on, timeout limit = seconds(10));
    /// Releases what must still be held.
    void give(held& handle);
    void give(held&& handle) { give(handle); }
    /// True when nobody has @p on. Asked in another style and, by default, from elsewhere.
    testing::AssertionResult is_free(const target& on);
    testing::AssertionResult is_taken(const target& on);
    /// Begins an acquire that has to wait, and comes back when it does.
    pending start_waiting(const target& on, timeout limit = timeout::infinite());
    /// The same for whatever call has been begun.
    testing::AssertionResult comes_to_wait(const pending& call);

private:
    std::unique_ptr<environment> place_;
    contract::limits limits_;
    std::optional<provider> locks_;
    std::unique_ptr<call_style> calls_;
    std::unique_ptr<call_style> other_calls_;
};

/** One name, and how to have it alone in the shape under test.

    Holds what must be held for that: four of five tickets, for instance.
*/
class subject {
public:
    subject(environment& place, shape what, std::string name);
    subject(environment& place, shape what) : subject(place, what, place.unique_name()) {}

    const std::string& name() const noexcept { return name_; }
    /// What to acquire, made by @p from.
    target on(const provider& from) const;
    int tickets() const noexcept { return tickets_; }

private:
    shape shape_;
    std::string name_;
    std::string second_name_;
    int tickets_ = 1;
    std::vector<lock_handle> others_;
};

/// A test of one name, had alone in the shape that the test runs with.
class shaped_test : public contract_test {
protected:
    void SetUp() override;
    void TearDown() override;

    const subject& one() const { return *subject_; }
    /// What is contended for, made anew by the usual provider.
    target thing() const { return subject_->on(locks()); }
    bool is_composite() const { return single_of(GetParam().shape) != GetParam().shape; }
    /// Destroys all holds of the name; false where the environment cannot.
    bool lose();

private:
    std::optional<subject> subject_;
};

inline const std::vector<style> every_style{all_styles.begin(), all_styles.end()};
inline const std::vector<style> blocking_styles{style::sync_throw, style::sync_code};
/// All but the blocking ones, which are the first two.
inline const std::vector<style> asynchronous_styles{all_styles.begin() + 2, all_styles.end()};
inline const std::vector<shape> every_shape{
    shape::lock,        shape::write,     shape::upgradeable_read, shape::upgradeable_write, shape::single_ticket,
    shape::last_ticket, shape::composite, shape::composite_write,  shape::composite_tickets};
/// Those with a handle of one lock.
inline const std::vector<shape> single_shapes{every_shape.begin(), every_shape.end() - 3};

target lock_target(const provider& from, const std::string& name);
target ticket_target(const provider& from, const std::string& name, int tickets);

/// How long @p body takes, on the library's own clock.
template <class Body>
boottime::duration time_of(Body body) {
    const auto began = boottime::now();
    body();
    return boottime::now() - began;
}

}  // namespace holdfast::contract

/// Instantiates a suite for this backend. A suite without any instance is fine: it was left out, and counted.
#define HOLDFAST_CONTRACT_SUITE(suite, ...)                                                                \
    GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(suite);                                                  \
    INSTANTIATE_TEST_SUITE_P(contract, suite,                                                              \
                             testing::ValuesIn(::holdfast::contract::instances(#suite, axes __VA_ARGS__)), \
                             ::holdfast::contract::case_name)

#endif
