// A process that has come to its limits, for a while.
#ifndef HOLDFAST_TEST_SUPPORT_SHORTAGE_HPP
#define HOLDFAST_TEST_SUPPORT_SHORTAGE_HPP

#include <cstddef>
#include <stdexcept>

#include <sys/resource.h>

namespace holdfast::test {

/// No descriptor is to be had while this lives; those that are open stay so.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = 3;
        if (::setrlimit(RLIMIT_NOFILE, &none) != 0) throw std::runtime_error("setrlimit");
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace holdfast::test

#endif
