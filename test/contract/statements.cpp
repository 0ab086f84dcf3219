// The numbered statements of the contract that this suite answers for, and the count of what was left out.
#include <contract/coverage.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <tuple>

namespace holdfast::contract {
namespace {

struct statement {
    int number;
    const char* text;
};

// What a distributed lock must do, as a numbered list that other projects' suites and users' expectations were boiled
// down to. Here are those statements that hold for every backend.
constexpr statement statements[] = {
    {1, "a try with timeout 0 on a free name succeeds"},
    {2, "while held, a second try on the same object gets nothing: not reentrant"},
    {3, "while one name is held, a different name can be acquired at once"},
    {4, "after release the same object can be acquired again"},
    {5, "releasing twice is harmless, and does not release somebody else's later hold"},
    {6, "100 concurrent acquirers of one name all succeed within 30 s and never overlap"},
    {8, "objects made independently with the same name exclude each other"},
    {9, "timeouts out of range are errors: below zero, above 2^31-1 ms"},
    {10,
     "a 200 ms acquire of a held name is a timed_out error, a 200 ms try gets nothing; neither earlier, nor much "
     "later"},
    {11, "the timeout type: zero, infinite, and rounding up to whole milliseconds"},
    {12, "infinite compares greater than the largest finite timeout and equal to itself"},
    {14, "cancelling a blocked acquire ends it as cancelled"},
    {15, "a token that is stopped already makes blocking calls end as cancelled, even if the lock is free"},
    {16, "an asynchronous call that is cancelled at once ends through its handler, and holds nothing if cancelled"},
    {19, "racing cancellation with a release never loses a lock or ticket"},
    {20, "the lost signal is not raised while healthy, and is raised after the hold is destroyed"},
    {21, "releasing does not raise the lost signal"},
    {22, "a hold destroyed before the signal is first looked at raises it then"},
    {23, "asking an empty handle for its signal is an error"},
    {24, "backends that cannot notice a loss say so, and never raise the signal"},
    {25, "a monitored handle can be released without error or hang"},
    {26, "releasing a lost handle may fail but must not hang"},
    {27, "an upgradeable handle can be upgraded while monitored; a loss afterwards raises the signal"},
    {30, "exceptions of users' handlers do not disturb the library"},
    {31, "a handle that is dropped is released"},
    {35, "a dropped read lock stops blocking writers"},
    {36, "names that are empty, long, or made of separators work"},
    {37, "long names that differ only in the case of the last character are different"},
    {38, "names that differ only in case are independent"},
    {42, "two readers hold at once; a zero-timeout write try then gets nothing"},
    {43, "a waiting writer gets the lock only after the last reader has left, and then keeps writers out"},
    {44, "while a writer waits, a new zero-timeout read try gets nothing"},
    {46, "upgradeable read beside readers; no second one, no writer"},
    {47, "an upgrade fails while a reader remains, succeeds after it has left, and then keeps readers out"},
    {48, "releasing an upgradeable handle twice is fine; upgrading it afterwards is an error"},
    {49, "upgrading twice is an error"},
    {52, "max_count is reported back unchanged; less than 1 is rejected"},
    {53, "with 3 tickets and 10 threads the levels of concurrency are exactly 1, 2 and 3"},
    {54, "all tickets taken through one object keep others out; freeing one lets one in"},
    {55, "2147483647 tickets and a name of more than 1000 characters: 100 tickets without trouble"},
    {56, "100 tasks on 10 tickets reach concurrency exactly 10 within 30 s, and end with none held"},
    {61, "the current count is that of free tickets"},
    {62, "an empty list of locks is an argument error"},
    {63, "members are acquired in list order"},
    {64, "if a later member is not to be had, the earlier ones are released and nothing is returned"},
    {65, "releasing the composite releases every member once"},
    {66, "acquiring a composite is a timed_out error when a member cannot be had"},
    {67, "later members get the time that remains"},
    {68, "the composite's lost signal is raised when any member's is"},
    {69, "a composite behaves as a lock, a reader-writer lock or a semaphore"},
};

struct elsewhere {
    int first;
    int last;
    const char* where;
};

/// The numbers of all other statements, and what answers for them.
constexpr elsewhere others[] = {
    {7, 7, "second processes: test/process and the backends' process tests"},
    {13, 13, "polling intervals: the tests of backends that poll"},
    {17, 18, "queries of databases: the tests of session backends"},
    {28, 29, "keepalive and reopened connections: the tests of session backends"},
    {32, 34, "processes that exit or are killed: test/process and the backends' process tests"},
    {39, 41, "names as bytes: test/unit/names"},
    {45, 45, "leases shorter than the hold: the tests of lease backends"},
    {50, 51, "keepalive: the tests of session backends"},
    {57, 60, "semaphores on one database connection: the tests of that backend"},
    {70, 114, "single families and backends: their own tests"},
};

/// How many instances are missing, by suite, variant and reason: the lists of instances are made more than once.
std::map<std::tuple<std::string, std::string, std::string>, int>& omissions() {
    static std::map<std::tuple<std::string, std::string, std::string>, int> all;
    return all;
}

/// The statements with their tests, once their test has run. Printed at the end, where no failure drowns in it.
std::string& listing() {
    static std::string text;
    return text;
}

/// Counts what was not run because the backend cannot do it, and says so at the end.
class skip_report final : public testing::Environment {
public:
    void TearDown() override {
        std::map<std::string, int> why;
        for (const auto& [which, instances] : omissions()) {
            const auto& [suite, variant, reason] = which;
            int tests = 0;
            for (const covered_test& each : covered_tests()) tests += each.suite == suite ? 1 : 0;
            why[reason] += instances * tests;
        }
        const int begun = testing::UnitTest::GetInstance()->skipped_test_count();
        if (begun > 0) why["while running"] = begun;
        int total = 0;
        std::string details;
        for (const auto& [reason, count] : why) {
            total += count;
            details += (details.empty() ? " (" : ", ") + reason + ": " + std::to_string(count);
        }
        if (!details.empty()) details += ")";
        std::printf("%sskipped by capability: %d%s\n", listing().c_str(), total, details.c_str());
    }
};

const testing::Environment* const report = testing::AddGlobalTestEnvironment(new skip_report);

}  // namespace

std::vector<covered_test>& covered_tests() {
    static std::vector<covered_test> all;
    return all;
}

void leave_out(const std::string& suite, const std::string& variant, const std::string& reason, int instances) {
    omissions()[{suite, variant, reason}] = instances;
}

TEST(coverage, every_statement_has_a_test) {
    ASSERT_NE(report, nullptr);
    for (const statement& each : statements) {
        std::string tests;
        for (const covered_test& one : covered_tests()) {
            if (std::count(one.statements.begin(), one.statements.end(), each.number) == 0) continue;
            tests += "\n      " + one.suite + "." + one.test;
        }
        EXPECT_FALSE(tests.empty()) << "no test covers " << each.number << ": " << each.text;
        listing() += "  " + std::to_string(each.number) + " " + each.text + tests + "\n";
    }
}

TEST(coverage, every_number_is_accounted_for_once) {
    constexpr int highest = 114;
    std::map<int, int> times;
    for (const statement& each : statements) ++times[each.number];
    for (const elsewhere& each : others) {
        for (int number = each.first; number <= each.last; ++number) ++times[number];
    }
    for (int number = 1; number <= highest; ++number) EXPECT_EQ(times[number], 1) << number;
    EXPECT_EQ(times.size(), static_cast<std::size_t>(highest));
}

TEST(coverage, every_number_is_that_of_a_statement) {
    std::set<int> known;
    for (const statement& each : statements) known.insert(each.number);
    for (const covered_test& one : covered_tests()) {
        for (const int number : one.statements) {
            EXPECT_EQ(known.count(number), 1U) << one.suite << "." << one.test << " claims " << number;
        }
    }
}

}  // namespace holdfast::contract
