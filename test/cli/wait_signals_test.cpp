// Signals at the end of a wait: each is either caught, or left for whoever comes next.
#include "cli/wait_signals.hpp"
#include "cli/signals.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

class wait_signals_test : public testing::Test {
protected:
    wait_signals_test() : before_(block_signals()), descriptor_(open_signal_descriptor()) {}
    ~wait_signals_test() override {
        close(descriptor_);
        pthread_sigmask(SIG_SETMASK, &before_.mask, nullptr);
    }

    /// From another process: our own are none to be acted on.
    static void send(int signal) {
        const pid_t sender = fork();
        if (sender == 0) _exit(kill(getppid(), signal) == 0 ? 0 : 1);
        int status = 1;
        ASSERT_EQ(waitpid(sender, &status, 0), sender);
        ASSERT_EQ(status, 0);
    }

    static bool is_pending(int signal) {
        sigset_t pending;
        sigpending(&pending);
        return sigismember(&pending, signal) == 1;
    }

    /// Whether it was there to be read.
    bool is_left(int signal) const {
        signalfd_siginfo info{};
        while (read(descriptor_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo == static_cast<unsigned>(signal)) return true;
        }
        return false;
    }

    const inherited_signals before_;
    const int descriptor_;
};

TEST_F(wait_signals_test, what_has_been_read_is_caught_at_the_end) {
    // The listener may stand between its reading and its telling, at some of these times.
    for (int round = 0; round < 500; ++round) {
        wait_signals listener(descriptor_);
        send(SIGTERM);
        while (is_pending(SIGTERM)) {
        }
        listener.end();
        ASSERT_EQ(listener.caught(), SIGTERM) << round;
        ASSERT_TRUE(listener.token().stop_requested());
    }
}

TEST_F(wait_signals_test, a_signal_at_the_end_is_caught_or_left) {
    for (int round = 0; round < 500; ++round) {
        wait_signals listener(descriptor_);
        send(SIGTERM);
        listener.end();
        const bool is_caught = listener.caught() == SIGTERM;
        ASSERT_NE(is_caught, is_left(SIGTERM)) << round;
    }
}

TEST_F(wait_signals_test, what_comes_after_the_end_is_left) {
    wait_signals listener(descriptor_);
    listener.end();
    send(SIGTERM);
    EXPECT_EQ(listener.caught(), 0);
    EXPECT_TRUE(is_left(SIGTERM));
}

}  // namespace
}  // namespace holdfast::cli
