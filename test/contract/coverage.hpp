// Which of the numbered statements of the contract each test checks. The statements themselves are in statements.cpp.
#ifndef HOLDFAST_TEST_CONTRACT_COVERAGE_HPP
#define HOLDFAST_TEST_CONTRACT_COVERAGE_HPP

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace holdfast::contract {

struct covered_test {
    std::string suite;
    std::string test;
    std::vector<int> statements;
};

/// Every test of the suite, whether or not it is run for this backend.
std::vector<covered_test>& covered_tests();

/// Remembers that a suite has that many instances fewer for @p variant, because it says that it cannot do this.
void leave_out(const std::string& suite, const std::string& variant, const std::string& reason, int instances);

/// Numbers of statements; empty for what goes beyond them.
inline std::vector<int> covers(std::initializer_list<int> statements = {}) {
    return statements;
}
template <class... Numbers>
std::vector<int> covers(int first, Numbers... rest) {
    return {first, rest...};
}

struct coverage_entry {
    coverage_entry(const char* suite, const char* test, std::vector<int> statements) {
        covered_tests().push_back({suite, test, std::move(statements)});
    }
};

}  // namespace holdfast::contract

/// A parameterised test with the statements that it checks: `HOLDFAST_CONTRACT(suite, name, covers(1, 2)) { ... }`.
#define HOLDFAST_CONTRACT(suite, test, statements)                                                        \
    static const ::holdfast::contract::coverage_entry suite##_##test##_covers(#suite, #test, statements); \
    TEST_P(suite, test)

/// The same for a test without parameters.
#define HOLDFAST_CONTRACT_ONCE(suite, test, statements)                                                   \
    static const ::holdfast::contract::coverage_entry suite##_##test##_covers(#suite, #test, statements); \
    TEST(suite, test)

/// Ends the test as skipped where the environment cannot do what it needs.
#define HOLDFAST_NEEDS(condition, what) \
    if (!(condition)) GTEST_SKIP() << "needs " << what

#endif
