// A process that has come to its limits, for a while.
#ifndef HOLDFAST_TEST_SUPPORT_SHORTAGE_HPP
#define HOLDFAST_TEST_SUPPORT_SHORTAGE_HPP

#include <gtest/gtest.h>

#include <cstddef>
#include <stdexcept>

#include <pthread.h>
#include <sys/resource.h>

namespace holdfast::test {

/// No descriptor is to be had while this lives; those that are open stay so.
class no_descriptors {
public:
    /// That sanitizer looks at objects by way of a pipe, and takes those for wrong that it cannot look at.
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
    static constexpr bool possible = false;
#else
    static constexpr bool possible = true;
#endif
#else
    static constexpr bool possible = true;
#endif

    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = 3;
        if (::setrlimit(RLIMIT_NOFILE, &none) != 0) throw std::runtime_error("setrlimit");
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    ~no_descriptors() {
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    rlimit before_{};
};

#define HOLDFAST_NEEDS_NO_DESCRIPTORS() \
    if (!::holdfast::test::no_descriptors::possible) GTEST_SKIP() << "the sanitizer needs descriptors"

/// No thread can be started while this lives: each would have a stack that is greater than all memory there could be.
class no_threads {
public:
    no_threads() {
        ::pthread_getattr_default_np(&before_);
        ::pthread_attr_t beyond;
        ::pthread_getattr_default_np(&beyond);
        constexpr std::size_t too_much = std::size_t{1} << 50;
        ::pthread_attr_setstacksize(&beyond, too_much);
        if (::pthread_setattr_default_np(&beyond) != 0) throw std::runtime_error("pthread_setattr_default_np");
        ::pthread_attr_destroy(&beyond);
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;
    ~no_threads() {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }

private:
    ::pthread_attr_t before_{};
};

}  // namespace holdfast::test

#endif
