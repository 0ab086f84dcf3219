// What a fuzz target says of its subject. Ends the program at once: that is how the fuzzer learns of it.
#ifndef HOLDFAST_TEST_FUZZ_CHECK_HPP
#define HOLDFAST_TEST_FUZZ_CHECK_HPP

#include <holdfast/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace holdfast::fuzz {

inline void check(bool true_of_it, const char* otherwise) {
    if (true_of_it) return;
    std::fprintf(stderr, "check failed: %s\n", otherwise);
    std::abort();
}

}  // namespace holdfast::fuzz

/// libFuzzer's entry, which its headers do not declare.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#endif
