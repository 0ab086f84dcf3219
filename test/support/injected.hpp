// System calls of the file backend, replaced for a while. What is injected is not proven on a kernel, so it is said.
#ifndef HOLDFAST_TEST_SUPPORT_INJECTED_HPP
#define HOLDFAST_TEST_SUPPORT_INJECTED_HPP

#include <backends/file/system_calls.hpp>

#include <cstdio>

namespace holdfast::test {

/// Puts the kernel's calls back at its end, and prints what was injected.
class injected {
public:
    explicit injected(const char* what) : before_(file::sys) { std::printf("    injected #%d: %s\n", ++count_, what); }
    injected(const injected&) = delete;
    injected& operator=(const injected&) = delete;
    ~injected() { file::sys = before_; }

    file::system_calls* operator->() const noexcept { return &file::sys; }
    static int count() noexcept { return count_; }

private:
    const file::system_calls before_;
    static inline int count_ = 0;
};

}  // namespace holdfast::test

#endif
